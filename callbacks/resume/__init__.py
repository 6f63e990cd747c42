"""What makes a resumed run equal one that never stopped."""

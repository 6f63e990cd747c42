"""What is measured, and how sure one can be of it."""

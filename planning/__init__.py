"""The planner of Push-T: search in the exact dynamics, and DAgger with the planner as the expert."""

"""What runs in a job's own process: one model scored on one data set with one seed."""

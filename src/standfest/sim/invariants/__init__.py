"""What must hold in every simulated run, each with a name; all are told of all that happens."""

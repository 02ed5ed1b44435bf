"""The only place that wires things together: settings to doors, doors to the controller, the controller to its clock."""

"""The only place that wires things together: settings to doors, doors to controller, controller to clock."""

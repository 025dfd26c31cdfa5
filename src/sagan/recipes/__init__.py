"""From a name to a configuration, and from a configuration to networks, engine and state."""

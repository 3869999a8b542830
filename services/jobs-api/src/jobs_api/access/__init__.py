"""Who may do what: keys, where they lie, sessions of browsers, limits of rate. Knows no HTTP."""

"""Why it is so and what comes next, in words: from decisions and plans to sentences and records."""

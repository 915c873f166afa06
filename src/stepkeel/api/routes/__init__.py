"""One file per noun. A route reads what was asked, calls the verb, and writes what it answered; it has no rule of its own."""

"""The web console: its built files, and who serves them. Its source is the folder `console` beside `src`; it speaks REST only."""

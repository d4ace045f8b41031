/* The library that missing-library needs, and that no loader finds. */
int gone(void);
int gone(void) { return 0; }

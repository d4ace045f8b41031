// Compiles the precompiled header that everything with tensors shares.

//! Frames cross from child to brain in sealed shared memory.

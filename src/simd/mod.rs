//! Where the machine is spoken to directly: vector instructions, and memory that is kept out of swap and core dumps.
//!
//! Everything here is safe to call with any argument. A kernel chooses its instructions when it runs (`AVX-512 VNNI`, `AVX2`,
//! else plain Rust), and each variant gives the same numbers as the plain one: property tests hold them to that.
//!
//! | module | what is there |
//! |---|---|
//! | [`ahead`] | memory that is asked for before it is read |
//! | [`bytes`] | dot products of rows of bytes |
//! | [`channels`] | rows made a model's channels in one go |
//! | [`pages`] | locked memory that is overwritten when it goes |
//! | [`scale`] | planes scaled and made a model's channels |

pub mod ahead;
pub mod bytes;
pub mod channels;
pub mod pages;
pub mod scale;

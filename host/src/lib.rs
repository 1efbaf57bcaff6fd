//! Attar: from a teacher, data and facts to a student of a few kilobytes that runs on a board bit for bit as here.
//!
//! The way of a run: [`recipe::Recipe`] → [`data::load`] → [`run::distill`] (which trains a teacher and students by
//! [`train`], makes integers of a student by [`compile`] and checks the file) → [`run::report::Report`].
//!
//! The modules stand in order: each may use those above it, never one below.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod support;

pub mod domain;

pub mod tables;

pub mod facts;

pub mod signal;

pub mod heads;

pub mod losses;

pub mod recipe;

pub mod net;

pub mod data;

pub mod objective;

pub mod train;

pub mod onnx;

pub mod teachers;

pub mod student;

pub mod compile;

pub mod boards;

pub mod run;

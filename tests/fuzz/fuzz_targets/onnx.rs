//! ONNX files: what is read runs without a panic, in bounded time and memory.
//!
//! The reader is taken in by its source, since the host crate below it is a build of many minutes with the fuzzer's counters.
#![no_main]
#![allow(dead_code, unused_imports, unreachable_pub)]

#[path = "../../../host/src"]
mod host {
    pub(crate) mod onnx;
}

#[path = "../../../host/src/support"]
mod support {
    pub(crate) mod files;

    pub(crate) mod progress {
        pub(crate) fn check_stopped() -> anyhow::Result<()> {
            Ok(())
        }
    }
}

#[path = "../../../host/src/net/ops"]
mod kernels {
    pub(crate) mod gemm;
}

pub(crate) use host::onnx;

mod net {
    pub(crate) mod ops {
        pub(crate) use crate::kernels::gemm;
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(network) = onnx::Network::decode(std::path::Path::new("net.onnx"), bytes) else { return };
    // Sizes that are left open are small here.
    let shape: Vec<usize> = network.input().iter().map(|size| size.unwrap_or(2)).collect();
    let len = shape.iter().try_fold(1usize, |all, &size| all.checked_mul(size)).unwrap_or(usize::MAX);
    if len <= 1 << 12 {
        let x = (0..len).map(|at| at as f32 * 0.1 - 1.0).collect();
        let _ = network.run(&shape, x);
    }
});

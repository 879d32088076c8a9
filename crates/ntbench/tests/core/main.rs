//! Tests of the bench's core, against images that are built here.

mod code;
mod image;
mod loading;
mod running;
mod violations;

use code::Function;
use ntbench::{Config, Driver, Kernel};

/// A booted kernel with a started test driver.
struct Bench {
    kernel: Kernel,
    driver: Driver,
}

impl Bench {
    fn start(name: &str, config: &Config) -> Self {
        let kernel = Kernel::boot(config);
        let path = code::image().write(name);
        let mut driver = kernel.load(&path, name).expect("the test image loads");
        assert_eq!(driver.start(), 0);
        Self { kernel, driver }
    }

    fn quiet(name: &str) -> Self {
        Self::start(
            name,
            &Config {
                echo_debug: false,
                ..Config::default()
            },
        )
    }

    fn address(&self, function: Function) -> usize {
        self.driver.image().base + image::TEXT + function.offset()
    }

    fn call(&self, function: Function, arguments: &[u64]) -> u64 {
        self.kernel.call(self.address(function), arguments)
    }
}

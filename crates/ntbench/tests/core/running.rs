//! Running driver code: calls, thunks, stacks, processors, registers, counting.

use crate::Bench;
use crate::code::Function;
use ntbench::cpu::irql::{DEVICE_LEVEL, DISPATCH_LEVEL, PASSIVE_LEVEL};
use ntbench::cpu::mmio::{self, Registers};
use ntbench::cpu::vp::{self, Dpc};
use ntbench::cpu::{call, irql, step, thread, thunk};
use ntbench::symbols::{self, Frame, StackTrace};
use ntbench::verifier::{faults, pool};
use ntbench::{Config, exports, memory};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

#[test]
fn a_driver_starts_prints_and_unloads() {
    let bench = Bench::quiet("life");
    let path = r"\REGISTRY\MACHINE\SYSTEM\CurrentControlSet\Services\life";
    assert_eq!(bench.kernel.debug_log(), [format!("entry {path} 2 3 4 5 6 7")]);
    let Bench { kernel, driver } = bench;
    driver.unload();
    assert_eq!(kernel.debug_log().last().map(String::as_str), Some("unload"));
}

#[test]
fn all_arguments_arrive() {
    let bench = Bench::quiet("arguments");
    let arguments: Vec<u64> = (1..=18).map(|number| number * 1_000_000_007).collect();
    let expected: u64 = arguments
        .iter()
        .zip(1..)
        .map(|(argument, number)| argument * number)
        .sum();
    assert_eq!(bench.call(Function::Sum, &arguments), expected);
    assert_eq!(bench.call(Function::Sum, &[1, 1]), 3, "missing arguments are 0");
}

#[test]
fn imports_preserve_the_registers_of_the_convention() {
    let bench = Bench::quiet("preserved");
    assert_eq!(bench.call(Function::Preserved, &[]), 1);
    assert_eq!(
        bench.kernel.debug_log().last().map(String::as_str),
        Some("preserved 44")
    );
}

static CALLBACK: AtomicUsize = AtomicUsize::new(0);
static DEPTHS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// Calls the driver again until its argument is 0; notes where the driver's stack was.
extern "win64" fn nest(count: u64, callback: u64) -> u64 {
    let call = thread::current_import().expect("called by the driver");
    DEPTHS.lock().expect("no panic").push(call.caller.sp);
    if count == 0 {
        let trace = StackTrace::capture();
        return trace.frames.len() as u64;
    }
    call::call(CALLBACK.load(Ordering::Relaxed), &[callback, count - 1, callback])
}

exports! {
    /// What the test gives the driver as function pointers.
    static CALLBACKS: "test" = {
        nest = function(nest, at_most(DISPATCH_LEVEL));
    }
}

#[test]
fn nested_callbacks_go_deeper_on_one_stack() {
    let bench = Bench::quiet("nested");
    CALLBACK.store(bench.address(Function::Indirect), Ordering::Relaxed);
    let thunk = thunk::address_of(&CALLBACKS[0]) as u64;
    let frames = bench.call(Function::Indirect, &[thunk, 3, thunk]);
    assert_eq!(frames, 8, "four driver frames, each calling the bench");
    let depths = DEPTHS.lock().expect("no panic").clone();
    assert_eq!(depths.len(), 4);
    assert!(
        depths
            .windows(2)
            .all(|pair| pair[1] < pair[0] && pair[0] - pair[1] < 1024),
        "{depths:x?}"
    );
}

#[test]
fn every_processor_runs_its_dpcs_at_dispatch_level() {
    let bench = Bench::start(
        "dpcs",
        &Config {
            processors: 3,
            echo_debug: false,
            ..Config::default()
        },
    );
    let (sender, receiver) = mpsc::channel();
    for processor in vp::all() {
        let sender = sender.clone();
        let run = move || {
            sender
                .send((vp::current().index(), irql::current()))
                .expect("the test waits");
        };
        assert!(processor.queue_dpc(
            Dpc {
                key: 1 + processor.index(),
                run: Box::new(run)
            },
            false
        ));
    }
    let mut seen: Vec<_> = (0..3)
        .map(|_| receiver.recv_timeout(Duration::from_secs(10)).expect("a DPC ran"))
        .collect();
    seen.sort_unstable();
    assert_eq!(
        seen,
        [(0, DISPATCH_LEVEL), (1, DISPATCH_LEVEL), (2, DISPATCH_LEVEL)]
    );
    let (sender, receiver) = mpsc::channel();
    let service = move || sender.send(irql::current()).expect("the test waits");
    vp::get(1)
        .expect("three processors")
        .interrupt(DEVICE_LEVEL, Box::new(service));
    assert_eq!(receiver.recv_timeout(Duration::from_secs(10)), Ok(DEVICE_LEVEL));
    bench.kernel.settle();
}

#[test]
fn a_dpc_waits_until_the_irql_drops() {
    let bench = Bench::quiet("held");
    let ran = Arc::new(AtomicU64::new(0));
    let set = Arc::clone(&ran);
    bench.kernel.run_at(DISPATCH_LEVEL, 0, || {
        let run = move || set.store(1, Ordering::SeqCst);
        vp::current().queue_dpc(
            Dpc {
                key: 1,
                run: Box::new(run),
            },
            false,
        );
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(ran.load(Ordering::SeqCst), 0, "the processor is ours");
    });
    assert_eq!(irql::current(), PASSIVE_LEVEL);
    bench.kernel.settle();
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

/// Queues a DPC that says which thread it runs on, and that waits for `go` if there is one.
fn queue_telling_dpc(key: usize, sender: &mpsc::Sender<ThreadId>, go: Option<mpsc::Receiver<()>>) {
    let sender = sender.clone();
    let run = move || {
        assert_eq!(irql::current(), DISPATCH_LEVEL);
        sender.send(std::thread::current().id()).expect("the test waits");
        if let Some(go) = go {
            go.recv_timeout(PATIENCE).expect("the test goes on");
        }
    };
    let run = Box::new(run);
    assert!(vp::current().queue_dpc(Dpc { key, run }, false));
}

const PATIENCE: Duration = Duration::from_secs(10);

/// As on a real processor, where the DPCs run when the IRQL drops: no other thread has to wake up for them.
#[test]
fn the_thread_of_a_service_routine_runs_its_dpcs() {
    let bench = Bench::quiet("continued");
    let (sender, receiver) = mpsc::channel();
    for _ in 0..100 {
        let sender = sender.clone();
        let service = move || {
            sender.send(std::thread::current().id()).expect("the test waits");
            queue_telling_dpc(1, &sender, None);
        };
        vp::current().interrupt(DEVICE_LEVEL, Box::new(service));
        let [service, dpc] = [(); 2].map(|()| receiver.recv_timeout(PATIENCE).expect("both run"));
        assert_eq!(service, dpc);
        bench.kernel.settle();
    }
}

#[test]
fn a_service_routine_runs_beside_a_dpc_that_another_one_queued() {
    let bench = Bench::quiet("beside");
    let (sender, dpcs) = mpsc::channel();
    let (go, wait) = mpsc::channel();
    let service = move || queue_telling_dpc(1, &sender, Some(wait));
    vp::current().interrupt(DEVICE_LEVEL, Box::new(service));
    dpcs.recv_timeout(PATIENCE).expect("the DPC runs");
    let (sender, services) = mpsc::channel();
    let service = move || sender.send(irql::current()).expect("the test waits");
    vp::current().interrupt(DEVICE_LEVEL, Box::new(service));
    assert_eq!(services.recv_timeout(PATIENCE), Ok(DEVICE_LEVEL));
    go.send(()).expect("the DPC waits");
    bench.kernel.settle();
}

/// A thread at DISPATCH level makes the device send messages, as with a doorbell that it rings.
#[test]
fn service_routines_run_and_dpcs_wait_while_a_thread_has_the_processor() {
    let bench = Bench::quiet("busy");
    let (sender, dpcs) = mpsc::channel();
    bench.kernel.run_at(DISPATCH_LEVEL, 0, || {
        let (told, services) = mpsc::channel();
        for key in 1..=3 {
            let (sender, told) = (sender.clone(), told.clone());
            let service = move || {
                queue_telling_dpc(key, &sender, None);
                told.send(()).expect("the test waits");
            };
            vp::current().interrupt(DEVICE_LEVEL, Box::new(service));
            services.recv_timeout(PATIENCE).expect("the service routine runs");
        }
        std::thread::sleep(Duration::from_millis(20));
        assert!(dpcs.try_recv().is_err(), "the processor is ours");
    });
    bench.kernel.settle();
    assert_eq!(dpcs.try_iter().count(), 3);
}

/// Interrupts and DPCs from everywhere: service routines run one at a time, and so do DPCs, and none is forgotten.
#[test]
fn interrupts_and_dpcs_of_a_processor_run_one_at_a_time() {
    const EACH: usize = 300;
    let bench = Bench::quiet("crowd");
    let [services, dpcs] = [(); 2].map(|()| Arc::new(Turnstile::default()));
    let from = &|thread: usize| {
        for number in 0..EACH {
            let dpc = |key| {
                let dpcs = Arc::clone(&dpcs);
                let run = Box::new(move || dpcs.pass());
                Dpc { key, run }
            };
            let key = 1 + 2 * (thread * EACH + number);
            let (services, later) = (Arc::clone(&services), dpc(key));
            let service = move || {
                services.pass();
                assert!(vp::current().queue_dpc(later, false));
            };
            let vp = vp::get(0).expect("a processor");
            vp.interrupt(DEVICE_LEVEL, Box::new(service));
            assert!(vp.queue_dpc(dpc(key + 1), number % 2 == 0));
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..3 {
            scope.spawn(move || from(thread));
        }
    });
    let deadline = Instant::now() + PATIENCE;
    while services.passed.load(Ordering::SeqCst) < 3 * EACH {
        assert!(Instant::now() < deadline, "service routines are missing");
        std::thread::yield_now();
    }
    bench.kernel.settle();
    assert_eq!(dpcs.passed.load(Ordering::SeqCst), 2 * 3 * EACH);
}

/// Lets one through at a time.
#[derive(Default)]
struct Turnstile {
    inside: AtomicUsize,
    passed: AtomicUsize,
}

impl Turnstile {
    fn pass(&self) {
        assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0);
        std::thread::yield_now();
        self.inside.fetch_sub(1, Ordering::SeqCst);
        self.passed.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_queued_dpc_can_be_removed_once() {
    let bench = Bench::quiet("removed");
    bench.kernel.run_at(DISPATCH_LEVEL, 0, || {
        let vp = vp::current();
        let run = || unreachable!("it was removed");
        assert!(vp.queue_dpc(
            Dpc {
                key: 5,
                run: Box::new(run)
            },
            false
        ));
        assert!(
            !vp.queue_dpc(
                Dpc {
                    key: 5,
                    run: Box::new(run)
                },
                false
            ),
            "queued already"
        );
        assert!(vp.remove_dpc(5));
        assert!(!vp.remove_dpc(5));
    });
}

/// One register that remembers, and the driver stack of its last access.
#[derive(Default)]
struct OneRegister {
    value: AtomicU64,
    trace: Mutex<StackTrace>,
}

impl Registers for OneRegister {
    fn read(&self, offset: u64, data: &mut [u8]) {
        assert_eq!(offset, 8);
        *self.trace.lock().expect("no panic") = StackTrace::capture();
        data.copy_from_slice(&self.value.load(Ordering::Relaxed).to_le_bytes()[..data.len()]);
    }

    fn write(&self, _offset: u64, data: &[u8]) {
        assert_eq!(data.len(), 4);
        self.value.store(
            u64::from(u32::from_le_bytes(data.try_into().expect("4 bytes"))),
            Ordering::Relaxed,
        );
    }
}

#[test]
fn register_accesses_reach_the_device_with_the_drivers_stack() {
    let bench = Bench::quiet("registers");
    let register = Arc::new(OneRegister::default());
    register.value.store(0x1234_5678, Ordering::Relaxed);
    let device: Arc<dyn Registers> = Arc::<OneRegister>::clone(&register);
    let trap = mmio::trap(memory::reserve(memory::PAGE_SIZE), memory::PAGE_SIZE, device);
    let read = bench.call(Function::Register, &[trap.address() as u64 + 8, 0x55]);
    assert_eq!(read, 0x1234_5678);
    assert_eq!(register.value.load(Ordering::Relaxed), 0x55);
    let frames = register.trace.lock().expect("no panic").frames.clone();
    let inside = |frame: &Frame| matches!(frame, Frame::Driver { address, exact: true } if symbols::describe(*address).starts_with("registers.sys"));
    assert!(
        matches!(frames.as_slice(), [Frame::Bench("register access"), driver] if inside(driver)),
        "{frames:?}"
    );
}

#[test]
fn instructions_are_counted_exactly() {
    let bench = Bench::quiet("counted");
    let (_, instructions) = step::count_instructions(|| bench.call(Function::Counted, &[100]));
    assert_eq!(instructions, 8, "a repeated instruction counts once");
    let (_, instructions) = step::count_instructions(|| bench.call(Function::Sum, &[1]));
    assert_eq!(
        instructions,
        6 + 14 * 7 + 2,
        "before the loop, fourteen rounds of seven, after it"
    );
    let (value, instructions) = step::count_instructions(|| 5);
    assert_eq!(
        (value, instructions),
        (5, 0),
        "the bench's own code does not count"
    );
}

#[test]
fn each_allocating_stack_fails_once() {
    let config = Config {
        echo_debug: false,
        fault_injection: Some(BTreeSet::new()),
        ..Config::default()
    };
    let bench = Bench::start("faults", &config);
    let allocate = || bench.call(Function::Pool, &[64, 0, 1]);
    assert_eq!(allocate(), 0, "the first time it fails");
    assert_ne!(allocate(), 0, "the second time it does not");
    assert_eq!(faults::seen().len(), 1);
    drop(bench);
    let config = Config {
        fault_injection: Some(faults::seen()),
        ..config
    };
    let bench = Bench::start("faults", &config);
    assert_ne!(
        bench.call(Function::Pool, &[64, 0, 1]),
        0,
        "a stack that is known succeeds at once"
    );
}

#[test]
fn allocations_belong_to_the_image_that_made_them() {
    let bench = Bench::quiet("owner");
    assert!(pool::live(bench.driver.image().base).is_empty());
    let address = bench.call(Function::Pool, &[100, 99, 0]);
    let live = pool::live(bench.driver.image().base);
    assert_eq!(live.len(), 1);
    assert_eq!((live[0].address as u64, live[0].request.size), (address, 100));
    assert_eq!(pool::tag_text(live[0].request.tag), "Test");
    assert!(matches!(
        live[0].stack.frames.as_slice(),
        [Frame::Bench("ExAllocatePool2"), Frame::Driver { .. }]
    ));
    pool::free(live[0].address, None);
    let Bench {
        kernel: _kernel,
        driver,
    } = bench;
    driver.unload();
}

#[test]
fn a_dpc_of_the_driver_ends_a_wait_of_the_driver() {
    let bench = Bench::quiet("wait");
    // A notification event in the bench's memory, laid out as KeInitializeEvent does it.
    let mut event = Box::new([0_u64; 3]);
    let at = event.as_mut_ptr() as usize;
    memory::write(at, [0_u8, 0, 6, 0]);
    memory::write(at + 8, [at + 8, at + 8]);
    let routine = bench.address(Function::Dpc);
    let run = move || {
        call::call(routine, &[0, at as u64, 0, 0]);
    };
    let waiter = bench.address(Function::Wait);
    let waiting = std::thread::spawn(move || call::call(waiter, &[at as u64]));
    vp::get(1).expect("two processors").queue_dpc(
        Dpc {
            key: at,
            run: Box::new(run),
        },
        false,
    );
    assert_eq!(waiting.join().expect("no panic"), 0, "STATUS_SUCCESS");
    assert_eq!(
        memory::read::<i32>(at + 4),
        1,
        "a notification event stays signalled"
    );
}

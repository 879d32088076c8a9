//! Calls of a consumer driver: checked, recorded, and passed on with the bench's callbacks in the place of its own.

use super::super::guarded::Guarded;
use super::super::kind::Kind;
use super::super::objects::{self, Fixed, Id};
use super::super::requests::{self, Completion, Creation, Deliver, Purpose};
use super::super::rules::{self, broken};
use super::super::{callbacks, trace, work};
use super::events;
use super::signature::{self, Shape, Signature};
use super::turns;
use crate::cpu::call::call;
use crate::cpu::thread::{self, ImportCall};
use crate::memory;
use crate::symbols;
use crate::verifier::Rule;
use ndk_sys::{NTSTATUS, STATUS_PENDING, STATUS_SUCCESS};
use std::sync::Arc;

/// A call on its way to the provider.
struct Call {
    object: Arc<Fixed>,
    name: &'static str,
    signature: Signature,
    /// All but the object.
    arguments: Vec<u64>,
}

/// What all thunks lead to: the name of the export says which function is meant, the first argument for which object.
pub(super) extern "win64" fn enter() -> u64 {
    let import = thread::current_import().expect("thunks are entered by a call of an export");
    let (object, signature) = target(&import);
    let arguments = (1..signature.arguments)
        .map(|index| import.argument(index))
        .collect();
    let mut call = Call {
        object,
        name: import.export.name,
        signature,
        arguments,
    };
    let event = call.replace_event();
    let _turn = turns::take(&call.object, call.name);
    match signature.shape {
        Shape::Status => status(call.invoke_now()),
        Shape::Post => status(work::post(&call.object, call.name, &call.arguments)),
        Shape::Value => call.value(),
        Shape::Close => status(call.close()),
        Shape::Request(at) => status(call.request(at, event)),
        Shape::OptionalRequest(at) => status(call.optional_request(at)),
        Shape::Create {
            kind,
            at,
            antecedents,
        } => status(call.create(kind, at, antecedents, event)),
    }
}

/// An NTSTATUS as rax holds it.
fn status(status: NTSTATUS) -> u64 {
    u64::from(status.cast_unsigned())
}

/// Finds out what is called; stops if the caller may not call it.
fn target(import: &ImportCall) -> (Arc<Fixed>, Signature) {
    let name = import.export.name;
    let address = usize::try_from(import.argument(0)).unwrap_or(0);
    let Some(object) = super::find(address) else {
        broken(
            Rule::NdkConsumerObject,
            format!("{name} was called for {address:#x}, which is no object that a consumer has"),
            "Pass the object that the provider handed over, and do not use it after you have closed it.",
        )
    };
    let caller = usize::try_from(import.caller.ip).ok().and_then(symbols::find);
    let provider = symbols::find(object.any_function());
    if caller.is_some() && caller.map(|module| module.base) == provider.map(|module| module.base) {
        callbacks::dispatch_is_used()
    }
    if !objects::is_open(object.id) {
        broken(
            Rule::NdkConsumerObject,
            format!(
                "{name} was called for {}, whose close was called before",
                object.label()
            ),
            "Call nothing for an object after its close: not even a second close.",
        )
    }
    let known = object.kind.slots(object.version).contains(&name);
    match signature::of(object.kind, name).filter(|_| known) {
        Some(signature) => (object, signature),
        None => broken(
            Rule::NdkConsumerObject,
            format!("{name} was called for {}", object.label()),
            "Call a function through the Dispatch of the object that you pass to it.",
        ),
    }
}

/// Calls a callback of the consumer.
fn deliver_to(callback: usize, arguments: &[u64]) {
    let _ = call(callback, arguments);
}

impl Call {
    /// An argument by its number, the object being number 0.
    fn argument(&self, at: usize) -> u64 {
        self.arguments[at - 1]
    }

    fn set(&mut self, at: usize, value: u64) {
        self.arguments[at - 1] = value;
    }

    /// Takes the consumer's event callback out of the arguments; returns the context that the provider gets.
    fn replace_event(&mut self) -> Option<u64> {
        let event = self.signature.event?;
        let at = event.at();
        let (callback, context) = (self.argument(at), self.argument(at + 1));
        if callback == 0 {
            if event.is_required() {
                self.missing(event.name())
            }
            return None;
        }
        let callback = usize::try_from(callback).unwrap_or(0);
        let extended = self.name.ends_with("Ex");
        let (function, registered) = events::register(event, extended, &self.object, callback, context);
        self.set(at, function);
        self.set(at + 1, registered);
        Some(registered)
    }

    /// Takes the consumer's completion callback and its context out of the arguments.
    fn completion(&self, at: usize, what: &str) -> (usize, u64) {
        let callback = usize::try_from(self.argument(at)).unwrap_or(0);
        if callback == 0 {
            self.missing(what)
        }
        (callback, self.argument(at + 1))
    }

    fn missing(&self, what: &str) -> ! {
        broken(
            Rule::NdkConsumerCallback,
            format!("{} was called without {what}", self.name),
            "Pass a callback: the provider calls it whenever it returns STATUS_PENDING.",
        )
    }

    /// Puts the bench's completion in.
    fn complete_by(&mut self, at: usize, callback: &str, context: u64) {
        self.set(at, callbacks::address_of(callback));
        self.set(at + 1, context);
    }

    fn detail(&self) -> String {
        let arguments = self.arguments.iter().map(|argument| format!("{argument:#x}"));
        arguments.collect::<Vec<_>>().join(", ")
    }

    fn invoke(&self) -> u64 {
        let result = objects::invoke(&self.object, self.name, &self.arguments, || self.detail());
        if self.signature.shape == Shape::Value {
            trace::add(trace::What::Return(None), self.name, || {
                (self.object.label(), String::new())
            });
        }
        result
    }

    fn invoke_now(&self) -> NTSTATUS {
        let status = objects::invoke_now(&self.object, self.name, &self.arguments, || self.detail());
        if self.name == "NdkControlCqInterruptModeration" && status == STATUS_SUCCESS {
            work::moderate(self.object.id, self.half(1), self.half(2));
        }
        status
    }

    /// An argument of 32 bits.
    fn half(&self, at: usize) -> u32 {
        u32::try_from(self.argument(at) & u64::from(u32::MAX)).unwrap_or(0)
    }

    /// Functions without a status; those of queues have rules of their own.
    fn value(&self) -> u64 {
        match self.name {
            "NdkGetCqResults" | "NdkGetCqResultsEx" => {
                let buffer = usize::try_from(self.argument(1)).unwrap_or(0);
                let extended = self.name.ends_with("Ex");
                work::results(&self.object, extended, buffer, self.half(2)).into()
            }
            "NdkArmCq" => {
                work::arm(&self.object, self.half(1));
                0
            }
            "NdkFlush" => {
                work::flush(&self.object);
                0
            }
            _ => self.invoke(),
        }
    }

    /// Invokes a function that may pend.
    fn start(&self) -> NTSTATUS {
        let status = objects::returned(&self.object, self.name, self.invoke());
        rules::check_status(self.name, status, true);
        status
    }

    fn close(mut self) -> NTSTATUS {
        const COMPLETION: usize = 1;
        let (callback, context) = self.completion(COMPLETION, callbacks::CLOSE);
        objects::begin_close(&self.object);
        let deliver: Deliver = Box::new(move |_| deliver_to(callback, &[context]));
        let request = requests::begin(self.name, &self.object, Purpose::Close, Some(deliver));
        self.complete_by(COMPLETION, callbacks::CLOSE, request);
        let status = objects::returned(&self.object, self.name, self.invoke());
        rules::check_close_status(self.name, status);
        requests::end_call(request, status);
        if status != STATUS_PENDING {
            objects::check_close(self.object.id, self.name);
            objects::end_close(self.object.id);
        }
        status
    }

    fn request(mut self, at: usize, event: Option<u64>) -> NTSTATUS {
        let (callback, context) = self.completion(at, callbacks::REQUEST);
        if let Some(event) = event {
            // The connector is there already; other events belong to what is being created.
            events::attach(event, self.object.id);
        }
        let deliver: Deliver = Box::new(move |completion| {
            deliver_to(callback, &[context, self::status(completion.status)]);
        });
        if self.name == "NdkModifySrq" && self.half(2) != 0 {
            work::srq_modified(self.object.id);
        }
        let request = requests::begin(self.name, &self.object, Purpose::Request, Some(deliver));
        self.complete_by(at, callbacks::REQUEST, request);
        let status = self.start();
        requests::end_call(request, status);
        status
    }

    fn optional_request(self, at: usize) -> NTSTATUS {
        if self.argument(at) != 0 {
            return self.request(at, None);
        }
        let status = self.start();
        if status == STATUS_PENDING {
            rules::never_completed(self.name, &self.object.label())
        }
        status
    }

    fn create(mut self, kind: Kind, at: usize, antecedents: &[usize], event: Option<u64>) -> NTSTATUS {
        let (callback, context) = self.completion(at, callbacks::CREATE);
        let out = usize::try_from(self.argument(at + 2)).unwrap_or(0);
        let creation = Creation {
            kind,
            version: self.object.version,
            antecedents: self.antecedents(antecedents),
            context: match self.name {
                "NdkCreateQp" => self.argument(3),
                "NdkCreateQpWithSrq" => self.argument(4),
                _ => 0,
            },
        };
        let created = move |completion: &Completion| {
            if let (Some(event), Some(object)) = (event, &completion.created) {
                events::attach(event, object.id);
            }
            let address = completion.created.as_ref().map_or(0, |object| object.address);
            deliver_to(
                callback,
                &[context, self::status(completion.status), address as u64],
            );
        };
        let purpose = Purpose::Create(creation.clone());
        let request = requests::begin(self.name, &self.object, purpose, Some(Box::new(created)));
        let slot = Guarded::filled(8, requests::UNTOUCHED);
        self.complete_by(at, callbacks::CREATE, request);
        self.set(at + 2, slot.address() as u64);
        let status = self.start();
        requests::end_call(request, status);
        let object = requests::created(self.name, status, &slot);
        if status == STATUS_SUCCESS {
            let object = creation.adopt(object);
            if let Some(event) = event {
                events::attach(event, object.id);
            }
            memory::write(out, object.address);
        }
        status
    }

    /// The object and those in the arguments.
    fn antecedents(&self, arguments: &[usize]) -> Vec<Id> {
        let named = arguments.iter().map(|&at| {
            let address = usize::try_from(self.argument(at)).unwrap_or(0);
            let object = super::find(address).filter(|object| objects::is_open(object.id));
            let Some(object) = object else {
                broken(
                    Rule::NdkConsumerObject,
                    format!(
                        "argument {at} of {} is {address:#x}, which is no object that the consumer has open",
                        self.name
                    ),
                    "Pass objects that the provider handed over, and that you have not closed.",
                )
            };
            object.id
        });
        std::iter::once(self.object.id).chain(named).collect()
    }
}

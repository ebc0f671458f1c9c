//! Attacks in the world of JSON lines; summaries as in the columnar component: `<what it does> => <phase>: <end>`.

use etl_sdk::bindings::records::etl::transform::records_data::{Batch, Output};
use etl_sdk::bindings::records::exports::etl::transform::record_stage as stage;
use etl_sdk::{Cardinality, Descriptor, Function, Rejection, StageError, State};

struct Attack {
    name: &'static str,
    summary: &'static str,
    cardinality: Cardinality,
    process: fn(&Batch, &Output) -> Result<(), StageError>,
}

const fn attack(name: &'static str, summary: &'static str, process: fn(&Batch, &Output) -> Result<(), StageError>) -> Attack {
    Attack { name, summary, cardinality: Cardinality::Expand, process }
}

const fn map(name: &'static str, summary: &'static str, process: fn(&Batch, &Output) -> Result<(), StageError>) -> Attack {
    Attack { name, summary, cardinality: Cardinality::Map, process }
}

const ATTACKS: &[Attack] = &[
    map("right", "passes rows on, to show that the rest fails for its own reason => process: ok", |input, out| {
        out.emit(&input.read()?, None)
    }),
    attack("loop", "loops for ever => process: out_of_fuel", |_, _| spin()),
    attack("panic", "panics => process: crash", |_, _| panic!("in process")),
    attack("not_json", "emits a line that is not JSON => process: broken_contract", |_, out| out.emit(b"{\"a\":1}\nhello\n", None)),
    attack("not_objects", "emits a number, a list and null => process: broken_contract", |_, out| out.emit(b"1\n[1]\nnull\n", None)),
    attack("no_line_end", "emits a last line without its end => process: broken_contract", |_, out| out.emit(b"{\"a\":1}", None)),
    attack("empty_lines", "emits a million empty lines => process: broken_contract, or no rows", |_, out| {
        out.emit(&vec![b'\n'; 1_000_000], None)
    }),
    attack("bad_utf8", "emits a text that is not UTF-8 => process: broken_contract", |_, out| out.emit(b"{\"a\":\"\xFF\xFE\"}\n", None)),
    attack("lone_surrogate", "emits half a surrogate pair => process: broken_contract", |_, out| out.emit(b"{\"a\":\"\\ud800\"}\n", None)),
    attack("cut_object", "emits an object that does not end => process: broken_contract", |_, out| out.emit(b"{\"a\":{\"b\":1}\n", None)),
    attack("two_on_a_line", "emits two objects on one line => process: broken_contract, or two rows", |_, out| {
        out.emit(b"{\"a\":1}{\"a\":2}\n", Some(&[0]))
    }),
    attack("duplicate_keys", "emits a key twice => process: ok with the last value, or broken_contract", |_, out| {
        out.emit(b"{\"a\":1,\"a\":\"x\"}\n", None)
    }),
    attack("deep", "emits lists in lists, 100,000 levels => process: broken_contract", |_, out| {
        out.emit(format!("{{\"a\":{}{}}}\n", "[".repeat(100_000), "]".repeat(100_000)).as_bytes(), None)
    }),
    attack("many_keys", "emits a row of 10,000 keys => process: broken_contract", |_, out| {
        let keys: Vec<String> = (0..10_000).map(|number| format!("\"k{number}\":1")).collect();
        out.emit(format!("{{{}}}\n", keys.join(",")).as_bytes(), None)
    }),
    attack("new_keys", "emits 10,000 rows with a new key each => process: broken_contract", |_, out| {
        let rows: String = (0..10_000).map(|number| format!("{{\"k{number}\":1}}\n")).collect();
        out.emit(rows.as_bytes(), None)
    }),
    attack("long_key", "emits a key of a MiB => process: broken_contract", |_, out| {
        out.emit(format!("{{\"{}\":1}}\n", "k".repeat(1 << 20)).as_bytes(), None)
    }),
    attack("huge_numbers", "emits numbers beyond all types => process: ok, the numbers whole as text or float", |_, out| {
        out.emit(format!("{{\"a\":{},\"b\":1e400,\"c\":-0.0}}\n", "9".repeat(1000)).as_bytes(), None)
    }),
    attack("mixed_types", "emits a column of every type => process: ok, widened as the schema says", |_, out| {
        out.emit(b"{\"a\":1}\n{\"a\":\"x\"}\n{\"a\":[1]}\n{\"a\":{\"b\":1}}\n{\"a\":null}\n{\"a\":true}\n", None)
    }),
    attack("too_much", "emits a MiB after the other => process: output_limit", |_, out| {
        let rows = "{\"a\":\"xxxxxxxxxxxxxxxxxxxxxxxx\"}\n".repeat(32 << 10);
        loop {
            out.emit(rows.as_bytes(), None)?;
        }
    }),
    attack("origins_outside", "emits a row of an input row that is not there => process: broken_contract", |_, out| {
        out.emit(b"{}\n", Some(&[u32::MAX]))
    }),
    attack("origins_too_few", "emits two rows with the origin of one => process: broken_contract", |_, out| {
        out.emit(b"{}\n{}\n", Some(&[0]))
    }),
    map("map_too_many", "promises map and emits rows twice => process: broken_contract", |input, out| {
        let rows = input.read()?;
        out.emit(&rows, None)?;
        out.emit(&rows, None)
    }),
    map("map_too_few", "promises map and emits nothing => process: broken_contract", |_, _| Ok(())),
    map("reject_and_emit", "rejects row 0 and emits it => process: broken_contract", |input, out| {
        out.reject(&[rejection(0)])?;
        out.emit(&input.read()?, None)
    }),
    attack("reject_outside", "rejects row 2^32 - 1 => process: broken_contract", |_, out| out.reject(&[rejection(u32::MAX)])),
    attack("million_rejects", "rejects row 0 a million times => process: broken_contract", |_, out| {
        let thousand = vec![rejection(0); 1000];
        (0..1000).try_for_each(|_| out.reject(&thousand))
    }),
];

fn rejection(row: u32) -> Rejection {
    Rejection { row, code: "no".into(), message: "no".into(), field: None }
}

fn spin() -> ! {
    let mut turns = 0u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

/// The component.
pub struct Evil;

/// An attack under way.
pub struct Instance(&'static Attack);

impl stage::Guest for Evil {
    type Instance = Instance;

    fn describe() -> Descriptor {
        let functions = ATTACKS.iter().map(|attack| Function {
            name: attack.name.into(),
            summary: attack.summary.into(),
            options_schema: String::new(),
            state: State::Stateless,
        });
        Descriptor { name: "evil-records".into(), version: "1.0.0".into(), functions: functions.collect() }
    }
}

impl stage::GuestInstance for Instance {
    fn configure(function: String, _: String) -> Result<(stage::Instance, Cardinality), Vec<StageError>> {
        let attack = ATTACKS.iter().find(|attack| attack.name == function);
        let attack = attack.ok_or_else(|| vec![StageError::options("unknown_function", format!("no attack `{function}`"))])?;
        Ok((stage::Instance::new(Self(attack)), attack.cardinality))
    }

    fn process(&self, input: &Batch, out: &Output) -> Result<(), StageError> {
        (self.0.process)(input, out)
    }

    fn finish(&self, _: &Output) -> Result<(), StageError> {
        Ok(())
    }

    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        Ok(Vec::new())
    }

    fn restore(function: String, options: String, _: Vec<u8>) -> Result<(stage::Instance, Cardinality), Vec<StageError>> {
        Self::configure(function, options)
    }
}

#[cfg(target_arch = "wasm32")]
etl_sdk::bindings::records::export_transform_records!(Evil with_types_in etl_sdk::bindings::records);

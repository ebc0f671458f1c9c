//! Native speed: `speed EXPRESSION_FILE record|batch LINES`.
#![allow(clippy::all, missing_docs, dead_code, unreachable_pub, clippy::print_stdout)]
#[path = "../../jsonata/src/allocate.rs"]
mod allocate;
#[global_allocator]
static ALLOCATOR: allocate::Sizes = allocate::Sizes::new();
use etl_jsonata_engine::{Columns, Expression, Limits, Rows, Run, Value, from_json};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let expression = Expression::compile(&std::fs::read_to_string(&args[1]).unwrap()).unwrap();
    let lines = std::fs::read_to_string(&args[3]).unwrap();
    let lines: Vec<Value> = lines.lines().map(|l| from_json(l).unwrap()).collect();
    let mut batches = Vec::new();
    for chunk in lines.chunks(1000) {
        let mut c = Columns::new();
        chunk.iter().for_each(|r| c.append(r).unwrap());
        batches.push(c.finish().unwrap());
    }
    let run = Run { now_ms: 0, seed: 0 };
    let mut prepared = expression.prepare(&[], &run, &Limits::default());
    let rounds: usize = args.get(4).map_or(5, |s| s.parse().unwrap());
    let (mut tr, mut te, mut tc) = (0.0, 0.0, 0.0);
    let mut n = 0;
    for _ in 0..rounds {
        for batch in &batches {
            let mut made = Columns::with_names(expression.gives().iter().map(String::as_str));
            if args[2] == "record" {
                let t = std::time::Instant::now();
                let rows: Vec<Value> = Rows::new(batch).all().collect();
                tr += t.elapsed().as_secs_f64();
                let t = std::time::Instant::now();
                let out: Vec<_> = rows.iter().map(|r| prepared.evaluate(Some(r)).unwrap().unwrap()).collect();
                te += t.elapsed().as_secs_f64();
                let t = std::time::Instant::now();
                out.iter().for_each(|v| made.append(v).unwrap());
                made.finish().unwrap();
                drop((rows, out));
                tc += t.elapsed().as_secs_f64();
            } else {
                let t = std::time::Instant::now();
                let rows = Value::array(Rows::new(batch).all().collect());
                tr += t.elapsed().as_secs_f64();
                let t = std::time::Instant::now();
                let v = prepared.evaluate(Some(&rows)).unwrap().unwrap();
                te += t.elapsed().as_secs_f64();
                let t = std::time::Instant::now();
                if let Value::Array(items) = &v {
                    items.iter().for_each(|v| made.append(v).unwrap());
                } else {
                    made.append(&v).unwrap();
                }
                made.finish().unwrap();
                drop((rows, v));
                tc += t.elapsed().as_secs_f64();
            }
            n += batch.num_rows();
        }
    }
    let us = |t: f64| t * 1e6 / n as f64;
    println!("{n} rows: read {:.2} us, evaluate {:.2} us, columns {:.2} us a row", us(tr), us(te), us(tc));
}

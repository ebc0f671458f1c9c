// Evaluates made-up pairs with the reference implementation: `node reference.mjs COUNT SEED [FROM] [wide]` prints a pair a line.
//
// With `wide`, the expressions are those of `wide.mjs`. A pair is left out where the reference loses a regular expression: it copies what
// stands before `?:` and `??` by way of JSON, and then may search for ever.
//
// Each line is `{class, expression, input, value | undefined: true | code}`. The reference is npm `jsonata` 2.2, found from the current folder.
import { createRequire } from 'node:module';
import { dice, expression, input } from './generate.mjs';
import { wide } from './wide.mjs';

const jsonata = createRequire(`${process.cwd()}/`)('jsonata');
const [count, seed, from = 0] = process.argv.slice(2, 5).map(Number);
const make = process.argv[5] === 'wide' ? wide : expression;

/** What stands for an expression that was lost. */
const LOST = 'a regular expression was lost';

class Expression extends RegExp {
  constructor(pattern, flags) {
    if (!(pattern instanceof RegExp) && typeof pattern !== 'string') throw new Error(LOST);
    super(pattern, flags);
  }
}

/** JSON as it is: what a caller would get by writing the result. */
async function evaluate(text, data) {
  try {
    const compiled = jsonata(text, { timeout: 2000, stack: 300, sequence: 100000, RegexEngine: Expression });
    const value = await compiled.evaluate(data);
    if (value === undefined) return { undefined: true };
    if (typeof value === 'function' || value?._jsonata_lambda || value?._jsonata_function) return { function: true };
    const json = JSON.stringify(value, (key, item) => (typeof item === 'function' || item?._jsonata_lambda || item?._jsonata_function ? '' : item));
    return { value: JSON.parse(json) };
  } catch (error) {
    return { code: error.code ?? String(error.message).slice(0, 80) };
  }
}

for (let number = from; number < from + count; number += 1) {
  const d = dice(seed * 1_000_003 + number);
  const data = input(d);
  const made = make(d);
  const outcome = await evaluate(made.text, structuredClone(data));
  if (outcome.code === LOST) continue;
  const line = JSON.stringify({ number, class: made.class, expression: made.text, input: data, ...outcome });
  if (!process.stdout.write(`${line}\n`)) await new Promise((resolve) => process.stdout.once('drain', resolve));
}

// Stands between the world `transform-records` and a user's JavaScript module.
//
// `etl-host build` names the module below and hands all to componentize-js. Module-level code, this one's and the user's, runs once, when the
// component is built; what it leaves in memory is in the component.

import * as target from "./@MODULE@";
import { log, seed } from "etl:transform/host@1.0.0";

const NAME = "@NAME@";
const TEXT_CHARS = 1 << 20;
const MAX_DEPTH = 32;

// --- Where it went wrong --------------------------------------------------------------------------------------------

class Refusal extends Error {
  constructor(code, message, field) {
    super(message);
    this.code = code;
    this.field = field;
  }
}

/** The user's innermost line, as `transforms.js:12, in toEuro`. */
function place(error) {
  for (const line of String(error?.stack ?? "").split("\n")) {
    const frame = /^(.*)@([^@]*):(\d+):\d+$/.exec(line);
    if (frame && !frame[2].includes("etl_host_app.js") && !frame[2].endsWith("initializer.js")) {
      const name = frame[1].replace(/^async\*/, "").split("/").filter((part) => part !== "<")[0];
      return name ? `${frame[2]}:${frame[3]}, in ${name}` : `${frame[2]}:${frame[3]}`;
    }
  }
  return "";
}

/** Code, message and field of what was thrown. */
function reason(error) {
  if (error instanceof Refusal) return { code: error.code, message: error.message, field: error.field };
  const isError = error instanceof Error;
  const words = isError ? `${error.name}: ${error.message}` : `threw ${String(error)}`;
  const where = isError ? place(error) : "";
  const code = isError ? String(error.name).replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").toLowerCase() : "thrown";
  return { code, message: where ? `${words} (${where})` : words, field: undefined };
}

// --- Values ---------------------------------------------------------------------------------------------------------

/** Rows from JSON lines; an integer that a number cannot hold exactly becomes a BigInt. */
function decode(bytes) {
  const text = new TextDecoder().decode(bytes).trimEnd();
  const list = `[${text.replaceAll("\n", ",")}]`;
  if (!/\d{16}/.test(text)) return JSON.parse(list);
  return JSON.parse(list, (_, value, context) =>
    typeof value === "number" && /^-?\d{16,}$/.test(context?.source ?? "") && !Number.isSafeInteger(value) ? BigInt(context.source) : value,
  );
}

function isRow(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether JSON.stringify writes a value as it is meant. */
function isPlain(value, depth) {
  switch (typeof value) {
    case "object":
      break;
    case "bigint":
    case "function":
    case "symbol":
      return false;
    case "string":
      return value.isWellFormed();
    default:
      return true;
  }
  if (value === null) return true;
  if (depth > MAX_DEPTH) return false;
  if (Array.isArray(value)) return value.every((item) => isPlain(item, depth + 1));
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value instanceof Date;
  for (const key in value) if (!key.isWellFormed() || !isPlain(value[key], depth + 1)) return false;
  return true;
}

/** A value in a form that JSON.stringify writes as it is meant; tells where something cannot be written. */
function cleaned(value, path, depth) {
  const refuse = (what) => {
    throw new Refusal("not_serialisable", `key \`${path}\`: ${what}`, path.split(/[.[]/)[0]);
  };
  if (typeof value === "bigint") return JSON.rawJSON(String(value));
  if (typeof value === "function" || typeof value === "symbol") refuse(`a ${typeof value} has no JSON form`);
  if (typeof value === "string" && !value.isWellFormed()) refuse("half of a character stands alone in the text, as `slice` leaves one of an emoji");
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  if (depth > MAX_DEPTH) {
    throw new Refusal("not_serialisable", `\`${path.slice(0, 80)} …\` is nested more than ${MAX_DEPTH} deep, or contains itself`, path.split(/[.[]/)[0]);
  }
  if (typeof value.toJSON === "function") return cleaned(value.toJSON(), path, depth + 1);
  if (value instanceof Map) value = Object.fromEntries(value);
  if (value instanceof Set) value = [...value];
  if (value instanceof ArrayBuffer) value = new Uint8Array(value);
  if (ArrayBuffer.isView(value)) {
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  }
  if (value instanceof Promise) refuse("a Promise has no JSON form; was an `await` forgotten?");
  if (value instanceof RegExp || value instanceof WeakMap || value instanceof WeakSet) refuse(`a ${value.constructor.name} has no JSON form`);
  if (Array.isArray(value)) return value.map((item, index) => cleaned(item, `${path}[${index}]`, depth + 1));
  const result = {};
  for (const key of Object.keys(value)) {
    if (!key.isWellFormed()) refuse("half of a character stands alone in a name");
    result[key] = cleaned(value[key], path ? `${path}.${key}` : key, depth + 1);
  }
  return result;
}

/** A row as one line of JSON. */
function encode(row) {
  if (!isRow(row)) throw new Refusal("not_a_row", `returned ${described(row)} where a row, an object, must be`);
  return JSON.stringify(isPlain(row, 0) ? row : cleaned(row, "", 0)) + "\n";
}

function described(value) {
  if (value === null || value === undefined) return String(value);
  return Array.isArray(value) ? "a list" : `a ${typeof value}`;
}

/** What was returned as a list of rows. */
function several(result) {
  if (result === null || result === undefined) return [];
  if (typeof result === "object" && typeof result[Symbol.iterator] === "function") return Array.isArray(result) ? result : [...result];
  if (isRow(result)) return [result];
  throw new Refusal("not_a_row", `returned ${described(result)} where a row, an object, or a list of rows must be`);
}

const isPromise = (value) => typeof value?.then === "function";

// --- What a component has not --------------------------------------------------------------------------------------

/** SplitMix64 (Steele, Lea and Flood, 2014), from the run, the batch and its first row: the same when a batch is tried again. */
let state = 0n;
Math.random = () => {
  state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
  let z = state;
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return Number((z ^ (z >> 31n)) >> 11n) / 2 ** 53;
};
globalThis.fetch = () => {
  throw new TypeError("`fetch` reaches nothing from a component in JavaScript");
};

/** Hands what the module writes to the console to the run's log. */
function listen() {
  for (const [name, level] of Object.entries({ log: "info", info: "info", debug: "debug", warn: "warn", error: "error" })) {
    console[name] = (...words) => log(level, words.map((word) => (typeof word === "string" ? word : JSON.stringify(word))).join(" "));
  }
}

// --- The contract ---------------------------------------------------------------------------------------------------

const runs = (value) => (typeof value === "function" && typeof value.prototype?.run === "function") || (isRow(value) && typeof value.run === "function");

/** The functions of the module, and its classes with `run`. */
const FUNCTIONS = new Map(Object.entries(target).filter(([, value]) => typeof value === "function" || runs(value)));

class Instance {
  constructor(call, byRecord) {
    this.call = call;
    this.byRecord = byRecord;
  }

  static configure(name, options) {
    const [base, mode] = name.split("@");
    const problem = (message, help) => [{ kind: { tag: "options" }, code: "wrong_kwargs", message, field: undefined, row: undefined, help }];
    const value = FUNCTIONS.get(base);
    listen();
    if (value === undefined) throw problem(`the module \`${NAME}\` has no function \`${base}\``);
    const kwargs = options ? JSON.parse(options) : {};
    delete kwargs["@params"];
    let call = value;
    if (runs(value)) {
      try {
        const made = typeof value === "function" ? new value() : value;
        call = made.run.bind(made);
      } catch (error) {
        throw problem(`class \`${base}\` cannot be made without arguments: ${reason(error).message}`);
      }
    }
    return [new Instance((rows) => call(rows, kwargs), mode === "record"), "expand"];
  }

  process(input, out) {
    const sequence = BigInt.asUintN(64, input.sequence() * 0x9e3779b97f4a7c15n);
    state = BigInt.asUintN(64, seed() ^ sequence ^ (BigInt(input.firstRow()) << 32n));
    const rows = decode(input.read());
    return this.byRecord ? this.each(rows, new Writer(out), 0) : this.all(rows, new Writer(out));
  }

  /** One row after the other, from `number` on; one that throws is refused. Waits only where the function does. */
  each(rows, writer, number) {
    for (; number < rows.length; number++) {
      try {
        const result = this.call(rows[number]);
        if (isPromise(result)) return this.rest(rows, writer, number, result);
        writer.add(result, number);
      } catch (error) {
        writer.reject(error, number);
      }
    }
    writer.close();
  }

  async rest(rows, writer, number, result) {
    for (;;) {
      try {
        writer.add(await result, number);
      } catch (error) {
        writer.reject(error, number);
      }
      if (++number >= rows.length) return writer.close();
      try {
        result = this.call(rows[number]);
      } catch (error) {
        result = Promise.reject(error);
      }
    }
  }

  /** The rows of a batch together; where it throws the host looks for the row on which it does. */
  all(rows, writer) {
    const numbers = new Map(rows.map((row, number) => [row, number]));
    try {
      const result = this.call(rows);
      return isPromise(result) ? result.then((rows) => this.write(rows, numbers, writer), failed) : this.write(result, numbers, writer);
    } catch (error) {
      failed(error);
    }
  }

  write(result, numbers, writer) {
    let index, row;
    let lines, origins;
    try {
      const list = several(result);
      origins = list.map((item) => numbers.get(item));
      lines = list.map((item, at) => {
        [index, row] = [at, origins[at]];
        return encode(item);
      });
    } catch (error) {
      if (error instanceof Refusal && index !== undefined) error.message = `record ${index} of what it returned: ${error.message}`;
      failed(error, error instanceof Refusal ? row : undefined);
    }
    const known = !origins.includes(undefined);
    lines.forEach((line, at) => writer.write(line, known ? origins[at] : undefined));
    writer.close();
  }

  finish() {}

  snapshot() {
    return new Uint8Array();
  }

  static restore(name, options) {
    return Instance.configure(name, options);
  }
}

/** Tells the host of a batch on which the function failed. */
function failed(error, row) {
  if (error?.kind?.tag) throw error;
  const { code, message, field } = reason(error);
  throw { kind: { tag: "internal" }, code, message, field, row, help: undefined };
}

/** Gathers lines and hands them over by the megabyte; either all have an origin or none. */
class Writer {
  constructor(out) {
    Object.assign(this, { out, text: "", origins: [], rejections: [] });
  }

  /** Writes what one row became. */
  add(result, number) {
    if (result === null || result === undefined) return;
    const lines = several(result).map(encode);
    for (const line of lines) this.write(line, number);
  }

  write(line, origin) {
    this.text += line;
    if (origin !== undefined) this.origins.push(origin);
    if (this.text.length >= TEXT_CHARS) this.flush();
  }

  reject(error, row) {
    this.rejections.push({ row, ...reason(error) });
  }

  flush() {
    if (this.text) this.out.emit(new TextEncoder().encode(this.text), this.origins.length ? Uint32Array.from(this.origins) : undefined);
    this.text = "";
    this.origins = [];
  }

  close() {
    this.flush();
    if (this.rejections.length) this.out.reject(this.rejections);
  }
}

export const recordStage = {
  Instance,
  describe() {
    const functions = [...FUNCTIONS.keys()].flatMap((name) => [
      { name, summary: "", optionsSchema: "", state: "batch-local" },
      { name: `${name}@record`, summary: "", optionsSchema: "", state: "stateless" },
    ]);
    return { name: NAME, version: "0", functions };
  },
};

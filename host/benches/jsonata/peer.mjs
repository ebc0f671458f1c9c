// The reference implementation doing what a pipeline does: lines in, an expression, lines out.
// usage: node peer.mjs IN OUT MODE BATCH_ROWS EXPRESSION_FILE
import { createReadStream, createWriteStream, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { once } from "node:events";
import jsonata from "jsonata";

const [input, output, mode, batchRows, file] = process.argv.slice(2);
const expression = jsonata(readFileSync(file, "utf8"));
const out = createWriteStream(output, { highWaterMark: 1 << 20 });
let text = "";
let rows = [];

async function write(result) {
  if (result === undefined || result === null) return;
  for (const row of Array.isArray(result) ? result : [result]) text += JSON.stringify(row) + "\n";
  if (text.length > 1 << 18) {
    if (!out.write(text)) await once(out, "drain");
    text = "";
  }
}

for await (const line of createInterface({ input: createReadStream(input, { highWaterMark: 1 << 20 }), crlfDelay: Infinity })) {
  const row = JSON.parse(line);
  if (mode === "record") {
    await write(await expression.evaluate(row));
  } else if (rows.push(row) === Number(batchRows)) {
    await write(await expression.evaluate(rows));
    rows = [];
  }
}
if (rows.length > 0) await write(await expression.evaluate(rows));
out.end(text);
await once(out, "finish");

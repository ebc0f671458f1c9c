// Makes up what `generate.mjs` leaves out: arguments of the scalar functions at their edges, and the rarer forms of the language.

const WORDS = ['alpha', 'Beta', 'a,b,c', '', ' padded  text ', 'naïve café', '日本語', '😀 smile', 'AbC123', '42', '3.50', 'tab\tnew\r\nline', '\u00a0x', 'aaaa', 'ΣΑΣ ß İ', '\ud83d', 'a\ude00b', '😀😁', '__proto__', '10', '2'];
const NUMBERS = [0, 1, -1, 2, 3, 7, 10, 42, -17, 0.5, 1.5, 2.5, -2.5, 1.005, 2.675, 3.14159, 1234.5678, 1e6, 123456789, 1e-7, 0.30000000000000004, 1e21, 9007199254740993, 123456789012345680000, 999999999999999.9, 1e300, 5e-324];
const SEPARATORS = ['a', ' ', ',', '', '-', 'é', 'aa', '😀', '\ude00'];
const NUMBER_PICTURES = ['#,##0.00', '0', '#.##', '000', '#0.0#e0', '0.00%', '#,##,###', '#0.###;(0.00)', '##0,000.00', '0‰', '#.#.#', '', 'x#0y', '#,#,0', '0.0,0', '####e00', '.00', '#.e0', '$#0.00 EUR', '#,###,#0', '٠٠', '0;0;0', '0,.0'];
const INTEGER_PICTURES = ['0', '000', '#,##0', 'I', 'i', 'w', 'W', 'Ww', 'a', 'A', '0;o', 'w;o', 'Ww;o', '#,##,#0', '###:###', '٠٠٠', '#😀00', '0,', 'z', '', '1;c', '0٠', '００'];
const INTEGER_TEXTS = ['123', 'twelve', 'XIV', '1,234', 'two thousand and one', 'third', '21st', 'c', 'iv', 'MCMXCIX', 'one hundred and twenty-three', 'million', 'ABC', '', '12abc', '-5', ' 7', '0x1F', '١٢', 'twenty-first', 'one  two', 'ninety-ninth'];
const NUMBER_TEXTS = ['12', '-0.5', '1e3', '0x1F', '0b101', '0o17', 'abc', '', ' 1', '+1', '.5', '1.', '1e400', '0123', '-007', '0b12', 'a0o7', '10b1', ' 0b1', '0x1Fg', '-0x1', '٣', 'Infinity', '-0'];
const COMPONENTS = [...'YMDdFWwXxHhPmsfZzCE'];
const PRESENTATIONS = ['', '', '', '1', '01', '0001', 'n', 'N', 'Nn', 'I', 'a', 'w', 'Ww', '1o', 'wo', '01:01', '01:01t', '0', '000', '#1', '001', '1,000', '٠١', 'No'];
const WIDTHS = ['', '', '', '', ',2', ',2-2', ',*-3', ',3-3', ',4', ',1-4', ',*', ',-', ',x', ',2-0'];
const LITERALS = ['-', '/', ' ', ':', 'T', '.', ', ', '[[', ']]', '(', 'é'];
const ISO_DATES = ['2024-02-29T12:34:56.789Z', '2024-02-29', '2024-02', '2024', '2024-02-30', '2024-13-01', '2024-01-32', '2024-01-01T10:00:00', '2024-01-01T24:00:00', '2024-01-01T24:00:01', '2024-01-01T10:00:00+02:00', '2024-01-01T10:00:00-0530', '2024-01-01T10:00:00+29:59', '2024-01-01T10:00:00.1', '2024-01-01T10:00:00.99999', '2024-01-01T10:00', '0050-01-01', '2024-01-01Z', '2024.5', 'nonsense', '', '1969-12-31T23:59:59.999Z'];
const REGEXES = ['[a-z]+', 'a', '(\\d+)', '([a-z])([0-9])', '\\s+', '^.', 'b*', '[^\\x00-\\x7f]', '(a)|(b)', '\\w+', '$', '\\bx', ',', '(?=a)', '(?<=a).', '(.)\\1', '(?:ab)+', 'a{2,3}', '[À-ÿ]', '😀', '.', '\\ud83d', '(?<n>a)', 'x|', '(a+)+', '(a|ab)(c|bcd)?', '[^,]*', '(a)(b)(c)?', '\\/', '[/]', '[\\s\\S]', 'é', '^\\w+\\s', '\\d{1,3}(?=(\\d{3})+$)'];
const REPLACEMENTS = ['-', '', '$1', '[$2$1]', '$0$0', '$$', '$12', '$w', '$', '$ 1', '$-1', '$01', '😀'];

/** A literal of the language, in either sort of quotes, with escapes at times. */
function quoted(d, text) {
  const json = JSON.stringify(text);
  if (d.chance(0.15)) return json.replace(/[a-z]/, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`);
  return d.chance(0.25) && !/["'\\]/.test(text) ? `'${json.slice(1, -1)}'` : json;
}

function datePicture(d) {
  let picture = '';
  for (let count = 1 + d.below(4); count > 0; count -= 1) {
    picture += `[${d.chance(0.03) ? d.pick(['q', '', ' ', '1']) : d.pick(COMPONENTS)}${d.pick(PRESENTATIONS)}${d.pick(WIDTHS)}]${d.chance(0.7) ? d.pick(LITERALS) : ''}`;
  }
  return d.chance(0.03) ? `${picture}[` : picture;
}

/** A call of a scalar function, its arguments at their edges. */
function library(d) {
  const number = () => String(d.chance(0.7) ? d.pick(NUMBERS) : Math.round((d.next() - 0.4) * 1e7) / d.pick([1, 10, 100, 1000, 8]));
  const word = () => quoted(d, d.pick(WORDS));
  const from = (list) => quoted(d, d.pick(list));
  const maybe = (make) => (d.chance(0.5) ? `, ${make()}` : '');
  const limit = () => maybe(() => d.pick(['0', '1', '2', '-1', '1.5', '0.5']));
  const regex = () => `/${d.pick(REGEXES)}/${d.pick(['', '', 'i', 'm', 'im'])}`;
  const zone = () => from(['+0100', '-0530', '+0000', '+1245', '0', 'x', '-0500', '12345']);
  const moment = () => String(d.chance(0.5) ? d.pick([0, -1, 1709210096789, 951782400000, 1577836799999, 253402300799999, -62135596800000, 8.64e15, 0.5]) : Math.floor((d.next() - 0.3) * d.pick([1e11, 1e12, 1e13])));
  return d.pick([
    () => `$substring(${word()}, ${d.pick(['0', '1', '-2', '-9', '1.5', '-1.5', '7'])}${maybe(() => d.pick(['0', '1', '2', '-1', '1.5', '99']))})`,
    () => `$${d.pick(['substringBefore', 'substringAfter', 'contains'])}(${word()}, ${from(SEPARATORS)})`,
    () => `$${d.pick(['uppercase', 'lowercase', 'trim', 'length', 'base64encode', 'base64decode', 'encodeUrl', 'encodeUrlComponent', 'number', 'eval'])}(${word()})`,
    () => `$${d.pick(['decodeUrl', 'decodeUrlComponent'])}(${from(['%41', '%', '%zz', '%e2%82%ac', '%E2%82', '%2F%3f', '%C0%80', '%f0%9f%98%80', 'a%20b', 'é%20'])})`,
    () => `$pad(${word()}, ${d.pick(['5', '-5', '0', '3.7', '-3.7', '12'])}${maybe(() => from(['#', '', 'ab', '😀', '\ud83d']))})`,
    () => `$split(${word()}, ${d.chance(0.5) ? from(SEPARATORS) : regex()}${limit()})`,
    () => `$replace(${word()}, ${d.chance(0.3) ? from(SEPARATORS) : regex()}, ${from(REPLACEMENTS)}${limit()})`,
    () => `$replace(${word()}, ${regex()}, function($m) { $string($m.index) & ($m.groups[0]) }${limit()})`,
    () => `$match(${word()}, ${regex()}${limit()})`,
    () => `${regex()}(${word()}).${d.pick(['match', 'start', 'end', 'groups', 'next()', 'next().match'])}`,
    () => `$contains(${word()}, ${regex()})`,
    () => `$number(${from(NUMBER_TEXTS)})`,
    () => `$round(${number()}${maybe(() => d.pick(['0', '1', '2', '-1', '-2', '1.5', '3', '20', '400']))})`,
    () => `$formatBase(${number()}${maybe(() => d.pick(['2', '8', '16', '36', '1', '37', '2.5', '7']))})`,
    () => `$power(${number()}, ${d.pick(['2', '0.5', '-1', '10', '3', '1.5', '-0.5', '400', '0'])})`,
    () => `$formatNumber(${number()}, ${from(NUMBER_PICTURES)}${d.chance(0.2) ? `, ${d.pick(['{"decimal-separator": ",", "grouping-separator": "."}', '{"zero-digit": "٠"}', '{"minus-sign": "m"}', '{"percent": "pc"}', '{"exponent-separator": "E"}', '{"digit": "@"}', '{"pattern-separator": "|"}', '{"per-mille": "e"}', '{"x": 1}'])}` : ''})`,
    () => `$formatInteger(${number()}, ${from(INTEGER_PICTURES)})`,
    () => `$parseInteger(${from(INTEGER_TEXTS)}, ${from(INTEGER_PICTURES)})`,
    () => `$fromMillis(${moment()}${maybe(() => quoted(d, datePicture(d)) + maybe(zone))})`,
    () => `$fromMillis(${moment()}, ${d.pick(['()', 'missing'])}, ${zone()})`,
    () => `$toMillis(${from(ISO_DATES)})`,
    () => {
      // With a year, since what is missing before the first component is taken from the clock.
      const picture = quoted(d, `[Y0001] ${datePicture(d)}`);
      return `$toMillis($fromMillis(${moment()}, ${picture}), ${d.chance(0.8) ? picture : quoted(d, `[Y] ${datePicture(d)}`)})`;
    },
    () => `$string(${d.pick([number(), word(), `[${number()}, ${word()}, [], {}]`, `{"a": ${number()}, "b": [1, {"c": null}]}`, '$sum', 'function($x) { $x }', '[$sum, null, true]'])}${maybe(() => d.pick(['true', 'false']))})`,
    () => `${number()} & ${d.pick([number(), word(), `[${number()}]`, '{"a": [0.1 + 0.2]}', 'null', '[]'])}`,
  ])();
}

/** A form of the language that is rare. */
function form(d) {
  const number = () => String(d.pick(NUMBERS));
  const word = () => quoted(d, d.pick(WORDS));
  const path = () => d.pick(['orders', 'orders.lines', 'nums', 'words', 'grid', 'mixed', 'who', '$', 'orders.lines.tags', 'orders[0]', 'nil', 'missing', 'name', '*', '**']);
  const scalar = () => d.pick(['sku', 'qty', 'price', 'n', 'part', '$', 'id', 'missing', '$string($)', 'qty * price', '$count(lines)']);
  const literal = () => d.pick([number(), word(), 'true', 'null', '[1, 2]', '{"a": 1}', '[]']);
  const made = d.pick([
    () => `{${Array.from({ length: 1 + d.below(5) }, () => `${quoted(d, d.pick(['b', '2', '10', '1', 'a', '-1', '01', '1.5', 'constructor', '__proto__', '4294967295']))}: ${literal()}`).join(', ')}}${d.pick(['', ' ~> $keys', ' ~> $string', '.*', ' ~> $each(function($v, $k) { $k })', ' ~> $spread', '.`2`', '."10"', '.**', ' ~> $sift(function($v, $k) { $k != "a" }) ~> $string'])}`,
    () => `[${d.pick(['1..3, 5..6', '[1..2], 3', '[[1..2]], [3]', '1, [2, [3, [4]]]', '"a", ["b"], []', '(1; 2), [3]', 'nums, words', '[nums], [words]', 'missing, null', 'orders.sku[], nums[]'])}]${d.pick(['', '[0]', '[-1]', '[1..2]', '[[0, -1]]', '[1.7]', '[-1.2]', '[$ > 1]', '[][0]', '[0][0]', '.$', '.($)', '.[$]', '[true]', '[$ = 1 or $ = 3]'])}`,
    () => `${path()}${d.pick(['[0][0]', '[0].lines[0]', '[[0, 1]][1]', '[-1][]', '[][]', '[qty > 1][0]', '[qty > 1 and price]', '[$exists(lines)]', '[lines]', '[$not(lines)]', '["a" in tags]', '[$count(lines) = 2]', '[$$.flag]', '[[]]', '[nums]', '[$ in $$.nums]'])}`,
    () => `${path()}^(${d.pick([`${scalar()}`, `>${scalar()}`, `<${scalar()}, >${scalar()}`, `${scalar()}, ${scalar()}`])})${d.pick(['', '[0]', '.sku', '[]', '.{"s": sku}', '[-1].qty'])}`,
    () => `${path()}{${d.pick(['sku', '$string(qty)', 'part', '$string($)', '"a" & "b"', '$type($)', 'who.name'])}: ${d.pick(['$', '$count($)', 'price', '[price]', '$sum(price)', '{"q": qty}', '$.lines', '$[0]', 'lines{part: n}'])}}${d.pick(['', ' ~> $keys', '.*', ' ~> $string'])}`,
    () => `${path()} ~> |${d.pick(['$', 'orders', 'who', 'orders.lines', '**', 'orders[qty > 2]', 'lines', '*', 'missing', 'nums', 'who.home'])}|${d.pick(['{"new": 1}', '{"price": price * 2}', '{"a": $}', '{}', '{"qty": null}', 'missing', '{"sku": $uppercase(sku)}', '[{"x": 1}]', '1'])}${d.pick(['', '', ', "sku"', ', ["qty", "price"]', ', []', ', missing', ', [1]', ', null'])}|${d.pick(['', '.orders', ' ~> $string', '[0]'])}`,
    () => `orders@$o${d.pick(['', '[qty > 1]', '#$i', '[0]'])}.lines${d.pick(['', '@$l', '#$j', '@$l#$j', '[n > 1]', '[0]'])}.${d.pick(['{"o": $o.sku, "n": n}', '$o', '$o.sku', '[$o.qty, n]', '%', '%.sku', '%.%.id', 'part', '{"i": $i, "j": $j}', '$l.part', '($o.qty + n)'])}`,
    () => `orders#$i${d.pick(['', '[$i = 0]', '[qty > 0]', '^(qty)', '[-1]', '[]'])}${d.pick(['', '.lines'])}.${d.pick(['$i', '{"i": $i, "s": sku}', '[$i, n]', 'sku & $i', '%.qty', '{$string($i): sku}', '$'])}`,
    () => `${d.pick(['orders.lines', 'orders.lines.tags', 'who.home', 'orders[0].lines[0]', 'orders.lines[n > 1]'])}.${d.pick(['%', '%.sku', '%.%', '%.%.id', '%.name', '{"u": %.sku, "v": %.qty}', '%[qty > 1].sku', '(%.qty)', '[%.sku, %.%.name]', '%.lines.n', 'part.%.n', '%.%.%'])}`,
    () => `(${d.pick(['$x := 1; $y := ($x := 2; $x); [$x, $y]', '$f := function($x) { $x * 2 }; $f := function($x) { $x + 1 }; $f(3)', '$a := [1, 2, 3]; $a[1] := 5', '$x := $y := 3; $x + $y', '$o := {"f": function($x) { $x & "!" }}; $o.f("a")', '$l := [function($x) { $x + 1 }, $sum]; $l[0](2)', '$map([1, 2], function($v, $i, $a) { $v + $i + $count($a) })', '$s := "a"; $s.$', '$$.orders ~> $map(function($o) { $o.lines.n }) ~> $sum', '$f := $substring(?, 1, ?); $f("hello", 2)', '$g := function($x)<n-:n> { $x }; 5.$g()', '$h := function($x)<s?n:s> { $string($x) }; $h(1)', '$reduce([1..4], function($p, $c, $i, $a) { $p + $c * $i })', '($f := $uppercase ~> $trim ~> $length; $f(" ab "))', '$k := "qty"; $lookup(orders, $k)', '$each({"a": 1, "b": 2}, function($v, $k, $o) { $k & $v & $count($keys($o)) })', '$f := function($n) { $n > 0 ? $f($n - 1) : "end" }; $f(100)', '$eval("[1, 2] ~> $sum")', '$eval("a.b", {"a": {"b": 7}})', '$eval("$x + 1")', '$eval("{")', 'orders.(qty > 1 ? sku : qty)', 'orders.($q := qty; lines.{"q": $q, "n": n})', '$filter(orders, function($o, $i) { $i > 0 }).sku', '$sort(orders, function($a, $b) { $a.qty > $b.qty }).sku', '$single(orders, function($o) { $o.qty = 1 })', '$zip(nums, words, [1])', '$distinct(orders.lines.n)', '$merge(orders)', '$lookup(orders.lines, "n")', '$spread(orders)', '$exists($.orders.lines[0].n)', '$type(orders[0].lines)', '$clone(who)', '$error("x")', '$error()', '$assert(false)', '$assert(true, "x")', '$not(orders)', '$boolean(nums)', '$max(nums) - $min(nums)', '$average([])', '$count(nil)', '$sum(missing)', '$join(words, "-")', '$join("a")', '$append(nil, [])', '$append(missing, 1)', '$reverse([[1], [2]])', '$keys(orders)', '$formatNumber(1, "0") & 1', '$values(who)', '$shuffle([1])', '$now() = $now()'])})`,
    () => `${d.pick(['$length', '$uppercase', '$string', '$number', '$abs', '$sum', '$count', '$keys', '$type', '$boolean', '$not', '$trim', '$spread', '$reverse', '$floor', '$lowercase', '$exists', '$distinct', '$each', '$sift', '$join'])}(${d.pick(['', literal(), path(), `${literal()}, ${literal()}`, `${path()}, ${literal()}`])})`,
    () => `${path()}.$${d.pick(['length', 'uppercase', 'string', 'number', 'abs', 'sum', 'count', 'keys', 'type', 'boolean', 'not', 'trim', 'spread', 'floor', 'substring', 'pad', 'contains', 'split', 'match', 'replace', 'round', 'power', 'formatBase', 'sift', 'each', 'lookup', 'fromMillis', 'formatInteger', 'merge', 'clone'])}(${d.pick(['', '1', '"a"', '2, "x"', '/a/', '"a", "b"', 'function($v) { $v }'])})`,
    () => `${literal()} ${d.pick(['+', '-', '*', '/', '%', '&', '=', '!=', '<', '>=', 'in', 'and', 'or', '??', '?:', '~>', '..'])} ${literal()}`,
    () => `function(${d.pick(['', '$x', '$x, $y', '$x, $x'])})${d.pick(['', '', '<n:n>', '<s-:s>', '<nn?:n>', '<a<n>:n>', '<(sn):s>', '<x+:a>', '<o-:o>', '<f:n>', '<j?:j>', '<u:u>', '<a:a>', '<a<a<n>>:n>', '<b>', '<:n>', '<l>', '<n-n?s?:x>'])} { ${d.pick(['$x', '[$x, $y]', '$count($x)', '$type($x)', '$', '$string($x)'])} }(${d.pick(['', literal(), `${literal()}, ${literal()}`, path()])})`,
    () => `/* ${d.pick(['x', '*', '"', '/'])} */ ${path()} /**/ ${d.pick(['', '[0]', '.n', '~> $count()'])}`,
    () => `${d.pick(['`a b`', "'x'", '"who".name', '`who`.`name`', 'and', 'or', 'in', 'null', 'function', 'true.x', '$.and', 'orders.in', 'λ', 'who."name"', '$$$', '$.$', '*.*', '**.n', 'who.*', '*[0]', '$[0]', '$.*[1]', '-name', '- 5', '-(-5)', '--5', '1 - -1', '2 * -3', '-$sum(nums)', '"\\u00e9\\n\\t\\"\\\\\\/"', "'\\''", '"\\ud83d\\ude00"', '"\\ud83d"', '1e3', '1E-2', '1.50', '01', '1.e2', '.5', '1..3', '[1..3][-1]', '0x1F', '9007199254740993', '1e309', '-1e309'])}`,
  ])();
  return d.chance(0.1) ? `(${made})${d.pick(['[0]', '[]', '.$', '{"k": $}', ' ~> $string', '^($)', ' & ""', ' = 1'])}` : made;
}

/** An expression over the input of `generate.mjs`; answers its text and its class. */
export function wide(d) {
  return d.chance(0.5) ? { class: 'library', text: library(d) } : { class: 'form', text: form(d) };
}

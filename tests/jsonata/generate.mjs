// Makes up expressions and inputs, the same for the same seed.

/** A stream of chance: mulberry32. */
export function dice(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const below = (limit) => Math.floor(next() * limit);
  return { next, below, pick: (list) => list[below(list.length)], chance: (share) => next() < share };
}

const WORDS = ['alpha', 'Beta', 'gamma ray', 'a,b,c', '', ' padded  text ', 'naïve café', '日本語', '😀 smile', 'x-1', 'AbC123', '42', '3.50', 'true', 'null', 'foo.bar', 'ab12cd34', '2024-02-29T12:34:56.789Z', 'https://x.y/?q=a b&c=é'];
const NUMBERS = [0, 1, -1, 2, 3, 5, 7, 10, 42, 100, -17, 0.5, 1.25, -2.5, 3.14159, 1234.5678, 1e6, 123456789, 1e-7, 0.1, 1e21, 9007199254740993, 2.5, 3.5, 12345.6789];

/** An input of which every expression knows the names, not the shapes. */
export function input(d) {
  const word = () => d.pick(WORDS);
  const number = () => d.pick(NUMBERS);
  const list = (most, make) => Array.from({ length: d.below(most + 1) }, make);
  const maybe = (object, key, make) => {
    if (!d.chance(0.12)) object[key] = d.chance(0.04) ? null : make();
    return object;
  };
  const line = () => {
    const made = {};
    maybe(made, 'part', word);
    maybe(made, 'n', number);
    maybe(made, 'tags', () => (d.chance(0.3) ? word() : list(3, word)));
    return made;
  };
  const order = () => {
    const made = {};
    maybe(made, 'sku', word);
    maybe(made, 'qty', () => d.below(9));
    maybe(made, 'price', number);
    maybe(made, 'lines', () => (d.chance(0.2) ? line() : list(3, line)));
    maybe(made, 'at', () => d.below(2000000000) * 1000);
    return made;
  };
  const made = {};
  maybe(made, 'id', number);
  maybe(made, 'name', word);
  maybe(made, 'flag', () => d.chance(0.5));
  maybe(made, 'words', () => (d.chance(0.2) ? word() : list(4, word)));
  maybe(made, 'nums', () => (d.chance(0.15) ? number() : list(5, number)));
  maybe(made, 'grid', () => list(3, () => list(3, number)));
  maybe(made, 'mixed', () => list(5, () => d.pick([word(), number(), null, true, { a: number() }, [1, [2]]])));
  maybe(made, 'who', () => maybe(maybe({ name: word() }, 'age', number), 'home', () => ({ city: word(), zip: number() })));
  maybe(made, 'orders', () => (d.chance(0.15) ? order() : list(4, order)));
  made.none = null;
  made.empty = {};
  made.nil = [];
  return d.chance(0.04) ? d.pick([list(3, order), list(3, number), word(), null]) : made;
}

const DATES = ['[Y0001]-[M01]-[D01]', '[D1o] [MNn] [Y]', '[FNn], [D] [MNn,*-3] [Y] [H01]:[m01]:[s01] [z]', '[h]:[m01] [P]', '[Y]-W[W01]-[F1]', '[Yi]/[MI]/[Dw]', '[dwo] day of [YwW]', '[H01][m01][s01].[f001][Z]', '[xNn] [w]', '[D01]/[M01]/[Y0001] [H01]:[m01]', '[M,2-2]/[D,2]/[Y,4]', '[E] [C]', '[Y', '[q]', '[X0001]-W[W01]', 'lit [[x]] [Y]', '[Z01:01t]', '[FN,3-3] [MA] [da]'];
const PICTURES = ['#,##0.00', '0', '#.##', '000', '#0.0#e0', '0.00%', '#,##,###', '#0.###;(0.00)', '##0,000.00', '#|0', '0‰', '1', '#.#.#', '', 'x#0y', '#,#,0', '0.0,0', '####e00'];
const INTEGERS = ['0', '000', '#,##0', 'I', 'i', 'w', 'W', 'Ww', 'a', 'A', '1o', 'w;o', '#;o', '###:###', 'Wwo', '٠', 'z0'];
const REGEXES = ['/[a-z]+/', '/a/i', '/(\\d+)/', '/([a-z])([0-9])/i', '/\\s+/', '/^./', '/b*/', '/[^\\x00-\\x7f]/', '/(a)|(b)/', '/\\w+/', '/$/', '/\\bx/', '/,/'];

/** An expression over `input`; answers its text and its class. */
export function expression(d) {
  const literal = (value) => JSON.stringify(value);
  const variables = [];
  const fields = ['id', 'name', 'flag', 'words', 'nums', 'grid', 'mixed', 'who', 'orders', 'none', 'empty', 'nil', 'sku', 'qty', 'price', 'lines', 'part', 'n', 'tags', 'at', 'missing'];
  const some = (make, least, most) => Array.from({ length: least + d.below(most - least + 1) }, make);

  const paths = {
    number: ['id', 'orders.qty', 'orders.price', 'nums', 'nums[0]', 'who.age', 'orders[0].price', 'orders.lines.n', 'who.home.zip', 'grid[0][0]', 'orders.at', 'nums[-1]'],
    string: ['name', 'words', 'words[0]', 'orders.sku', 'who.name', 'who.home.city', 'orders.lines.part', 'orders.lines.tags', 'orders[0].sku'],
    array: ['orders', 'words', 'nums', 'grid', 'mixed', 'orders.lines', 'orders.lines.tags', 'nil', 'orders[]', 'nums[]'],
    object: ['who', 'orders[0]', 'who.home', 'orders', '$', 'empty', 'orders.lines[0]'],
    boolean: ['flag', 'orders.qty > 2', 'name = "alpha"', '"x" in words'],
  };

  function any(depth) {
    return of(d.pick(['number', 'number', 'string', 'string', 'array', 'array', 'object', 'boolean', 'path', 'path', 'function']), depth);
  }

  /** An expression that most likely gives that type; now and then another. */
  function of(type, depth) {
    if (d.chance(0.05)) type = d.pick(['number', 'string', 'array', 'object', 'boolean', 'path', 'function', 'nothing']);
    if (variables.length > 0 && d.chance(0.12)) return `$${d.pick(variables)}`;
    if (type === 'nothing') return d.pick(['missing', 'null', 'none', '$nowhere', 'nil', '[]', '{}', '""']);
    if (type === 'path') return path(depth);
    if (type === 'function') return lambda(depth);
    if (depth <= 0) return leaf(type);
    const made = { number, string, array, object, boolean }[type](depth - 1);
    return d.chance(0.03) ? `(${made})[${d.pick(['0', '-1', '1', '[0,1]', 'true', '$ > 1'])}]` : made;
  }

  function leaf(type) {
    if (d.chance(0.45) && paths[type]) return d.pick(paths[type]);
    switch (type) {
      case 'number': return d.chance(0.12) ? `-${d.below(9)}` : String(d.pick(NUMBERS));
      case 'string': return literal(d.pick(WORDS));
      case 'array': return `[${some(() => leaf(d.pick(['number', 'string', 'number', 'boolean'])), 0, 4).join(', ')}]`;
      case 'object': return `{"a": ${leaf('number')}, "b": ${leaf('string')}}`;
      default: return d.pick(['true', 'false', ...paths.boolean]);
    }
  }

  const call = (name, ...args) => `$${name}(${args.join(', ')})`;

  function number(n) {
    const x = () => of('number', n);
    const s = () => of('string', n);
    return d.pick([
      () => `${x()} ${d.pick(['+', '-', '*', '/', '%'])} ${x()}`,
      () => `(${x()} ${d.pick(['+', '-', '*'])} ${x()})`,
      () => call(d.pick(['sum', 'max', 'min', 'average', 'count']), of(d.pick(['array', 'path', 'number']), n)),
      () => call(d.pick(['abs', 'floor', 'ceil', 'sqrt']), x()),
      () => (d.chance(0.5) ? call('round', x()) : call('round', x(), d.pick(['0', '1', '2', '-1', '-2', '1.5']))),
      () => call('power', x(), d.pick(['2', '0.5', '-1', '10', '400', '3'])),
      () => call('number', of(d.pick(['string', 'number', 'boolean', 'string']), n)),
      () => call('number', literal(d.pick(['12', '-0.5', '1e3', '0x1F', '0b101', '0o17', 'abc', '', ' 1', '1_0', '+1', '.5', '1e400']))),
      () => call('length', s()),
      () => call('parseInteger', ...(d.chance(0.9) ? d.pick([['123', '0'], ['twelve', 'w'], ['XIV', 'I'], ['1,234', '#,##0'], ['two thousand and one', 'w'], ['third', 'w;o'], ['21st', '0;o'], ['c', 'a'], ['iv', 'i'], ['TWELVE', 'W'], ['007', '000']]) : [d.pick(['123', 'twelve', 'XIV']), d.pick(INTEGERS)]).map(literal)),
      () => call('toMillis', literal(d.pick(['2024-02-29T12:34:56.789Z', '2024-02-29', '2024', '2024-13-01', '12th March 2020', 'nonsense', '2018-03-27T10:00:00+02:00', '201803', '29/02/2024 10:11'])), ...(d.chance(0.5) ? [literal(d.pick(DATES))] : [])),
      () => `$reduce(${of('array', n)}, function($i, $j) { $i ${d.pick(['+', '*', '&'])} $j }${d.chance(0.3) ? `, ${x()}` : ''})`,
      () => `-(${x()})`,
      () => `${of('boolean', n)} ? ${x()} : ${x()}`,
      () => `(${x()} ?? ${x()})`,
      () => `(${x()} ?: ${x()})`,
      () => call('formatBase', x(), d.pick(['2', '8', '16', '36', '1', '37', '2.5'])),
      () => `$boolean(${x()}) ? 1`,
    ])();
  }

  function string(n) {
    const s = () => of('string', n);
    const x = () => of('number', n);
    return d.pick([
      () => `${s()} & ${of(d.pick(['string', 'number', 'boolean', 'array']), n)}`,
      () => call(d.pick(['uppercase', 'lowercase', 'trim']), s()),
      () => call('string', any(n), ...(d.chance(0.2) ? ['true'] : [])),
      () => call('substring', s(), d.pick(['0', '1', '-2', '-3', '2', '10', '1.5']), ...(d.chance(0.6) ? [d.pick(['0', '1', '2', '3', '-1', '100'])] : [])),
      () => call(d.pick(['substringBefore', 'substringAfter']), s(), literal(d.pick(['a', ' ', ',', '', '-', 'é', 'zz']))),
      () => call('pad', s(), d.pick(['5', '-5', '0', '12', '-12', '3']), ...(d.chance(0.5) ? [literal(d.pick(['#', '', 'ab', '-', '😀', '+']))] : [])),
      () => call('join', of('array', n), ...(d.chance(0.7) ? [literal(d.pick([', ', '', '-']))] : [])),
      () => call('replace', s(), d.chance(0.6) ? d.pick(REGEXES) : literal(d.pick(['a', ' ', 'b', ''])), d.chance(0.7) ? literal(d.pick(['-', '', '$1', '[$2$1]', '$0$0', '$$', '$12', '$w', '$'])) : 'function($m) { $uppercase($m.match) }', ...(d.chance(0.3) ? [d.pick(['0', '1', '2', '-1', '1.5'])] : [])),
      () => call('formatNumber', x(), literal(d.pick(PICTURES)), ...(d.chance(0.15) ? [d.pick(['{"decimal-separator": ",", "grouping-separator": "."}', '{"zero-digit": "٠"}', '{"minus-sign": "m"}', '{"percent": "pc"}'])] : [])),
      () => call('formatInteger', x(), literal(d.pick(INTEGERS))),
      () => call('fromMillis', d.chance(0.7) ? String(d.pick([0, 1, 1521801216617, 1709210096789, 951782400000, -1, 1e12, 1577836799999, 1609459199000, 253402300799999])) : x(), ...(d.chance(0.8) ? [literal(d.pick(DATES))] : []), ...(d.chance(0.3) ? [literal(d.pick(['+0100', '-0530', '+0000', '+1245', '0', 'x']))] : [])),
      () => call(d.pick(['base64encode', 'base64decode', 'encodeUrl', 'encodeUrlComponent', 'decodeUrl', 'decodeUrlComponent']), s()),
      () => call('type', any(n)),
      () => call('formatBase', x(), d.pick(['2', '16', '10'])),
      () => `${s()}.${call(d.pick(['uppercase', 'trim', 'length', 'string']))}`,
      () => call('match', s(), d.pick(REGEXES)) + d.pick(['', '.match', '[0].match', '.groups', '[1]', '.index']),
      () => call('eval', literal(d.pick(['1 + 2', 'name', '$sum([1,2,3])', '[1', 'who.name', '"a" & "b"', '$x', '$$.id']))),
    ])();
  }

  function array(n) {
    const a = () => of(d.pick(['array', 'array', 'path']), n);
    return d.pick([
      () => `[${some(() => any(n - 1), 0, 4).join(', ')}]`,
      () => `[${d.pick(['0', '1', '-2', 'id', '1.5'])}..${d.pick(['3', '0', '5', '$count(nums)', '-1', '"3"'])}]`,
      () => `${a()}[${d.pick(['0', '1', '-1', '[0..1]', '$ > 1', 'qty > 2', 'price', 'sku = "x-1"', '$.n', '0.5', '[-1, 0]', 'true', 'false', '$type($) = "number"'])}]`,
      () => call('map', a(), lambda(n)),
      () => call('filter', a(), d.pick(['function($v) { $v > 1 }', 'function($v, $i) { $i % 2 = 0 }', 'function($v, $i, $a) { $count($a) > $i + 1 }', '$boolean', 'function($v) { $type($v) = "string" }', lambda(n)])),
      () => call('sort', a(), ...(d.chance(0.5) ? [d.pick(['function($l, $r) { $l > $r }', 'function($l, $r) { $string($l) > $string($r) }', 'function($l, $r) { $l.qty < $r.qty }'])] : [])),
      () => call(d.pick(['reverse', 'distinct', 'spread', 'keys', 'values']), of(d.pick(['array', 'object', 'path']), n)),
      () => call('append', any(n), any(n)),
      () => call('zip', a(), a(), ...(d.chance(0.3) ? [a()] : [])),
      () => call('split', of('string', n), d.chance(0.5) ? literal(d.pick([',', '', ' ', 'a'])) : d.pick(REGEXES), ...(d.chance(0.3) ? [d.pick(['0', '1', '2', '-1', '1.9'])] : [])),
      () => call('each', of('object', n), d.pick(['function($v, $k) { $k & ":" & $string($v) }', 'function($v) { $v }', 'function($v, $k, $o) { {$k: $v} }'])),
      () => call('single', a(), d.pick(['function($v) { $v = 1 }', 'function($v, $i) { $i = 0 }', 'function($v) { $v.qty = 2 }'])),
      () => `${a()}^(${d.pick(['$', '>$', 'qty', '>price, sku', '<sku', 'n, part', '>n', '$string($)'])})`,
      () => `${a()}.{${d.pick(['"k": $', '"s": sku, "t": qty * price', '$string(n): part'])}}`,
      () => call('match', of('string', n), d.pick(REGEXES), ...(d.chance(0.3) ? [d.pick(['1', '0', '2', '-1'])] : [])),
      () => `${a()}.(${any(n - 1)})`,
      () => `${a()} ~> ${d.pick(['$reverse', '$count', '$map(function($v, $i) { $i })', '$filter(function($v) { $exists($v) })', '$sum', '$join(",")', '$sort'])}`,
      () => call('lookup', of(d.pick(['object', 'array']), n), literal(d.pick(fields))),
    ])();
  }

  function object(n) {
    return d.pick([
      () => `{${some(() => `${d.chance(0.85) ? literal(d.pick(['a', 'b', 'c', 'k'])) : of('string', n - 1)}: ${any(n - 1)}`, 0, 3).join(', ')}}`,
      () => `orders{${d.pick(['sku', '$string(qty)', 'sku & "!"', '"all"'])}: ${d.pick(['price', '$sum(price)', '$', '$count($)', '{"q": qty}', '[lines.n]', 'lines{part: n}'])}}`,
      () => call('merge', of(d.pick(['array', 'object']), n)),
      () => call('merge', `[${of('object', n)}, ${of('object', n)}]`),
      () => call('sift', of('object', n), d.pick(['function($v, $k) { $k > "n" }', 'function($v) { $type($v) = "number" }', 'function($v, $k, $o) { $count($keys($o)) > 3 }'])),
      () => `${of('object', n)} ~> |${d.pick(['$', 'orders', 'who', 'orders.lines', '**', 'orders[qty > 2]'])}|${d.pick(['{"new": 1}', '{"price": price * 2}', '{"qty": $sum(lines.n)}', '{}', '{"a": $}'])}${d.chance(0.4) ? d.pick([', "sku"', ', ["qty", "price"]', ', "name"', ', 1', ', "missing"']) : ''}|`,
      () => `${of('array', n)}{$string($): ${d.pick(['$', '$count($)', '1'])}}`,
      () => `orders.lines{part: ${d.pick(['n', '$sum(n)', '$$.id', '%.sku'])}}`,
      () => `$spread(${of('object', n)})`,
    ])();
  }

  function boolean(n) {
    return d.pick([
      () => `${of('number', n)} ${d.pick(['<', '<=', '>', '>=', '=', '!='])} ${of('number', n)}`,
      () => `${of('string', n)} ${d.pick(['<', '>', '=', '!=', '>=', '<='])} ${of('string', n)}`,
      () => `${any(n)} ${d.pick(['=', '!='])} ${any(n)}`,
      () => `${of('boolean', n)} ${d.pick(['and', 'or'])} ${any(n)}`,
      () => `${any(n)} in ${of('array', n)}`,
      () => call('contains', of('string', n), d.chance(0.5) ? d.pick(REGEXES) : literal(d.pick(['a', '', ' ']))),
      () => call(d.pick(['exists', 'boolean', 'not']), any(n)),
      () => call('assert', of('boolean', n), '"told"'),
      () => call('error', of('string', 0)),
    ])();
  }

  function path(depth) {
    const step = () => d.pick(['orders', 'lines', 'n', 'part', 'sku', 'price', 'qty', 'who', 'name', 'home', 'tags', 'words', 'nums', 'grid', 'mixed', '*', '**', '$', 'missing', 'a', '`name`', '"who"', 'empty', 'nil']);
    const decorate = (text, last) => {
      if (d.chance(0.13)) text += `[${d.pick(['0', '-1', '1', 'qty > 1', 'n', '$ != 2', 'part = "alpha"', '[0,2]', depth > 0 ? any(depth - 2) : '0'])}]`;
      if (d.chance(0.05)) text += '[]';
      if (d.chance(0.06)) text += `^(${d.pick(['$', '>qty', 'price', '<n', 'sku, >price'])})`;
      if (last && d.chance(0.06)) text += `{${d.pick(['sku: price', '$string($): 1', 'part: n', '"x": $'])}}`;
      return text;
    };
    const start = d.pick(['orders', 'orders', 'orders.lines', 'who', 'words', 'nums', 'grid', '$', '$$', '*', '**', 'mixed', 'name', '$.orders']);
    const special = d.below(12);
    if (special === 0) return `orders@$o.lines${d.chance(0.3) ? '[n > 1]' : ''}.{"s": $o.sku, "p": part}`;
    if (special === 1) return `orders#$i${d.chance(0.4) ? '[$i > 0]' : ''}.{"i": $i, "s": ${d.pick(['sku', '$', 'qty'])}}`;
    if (special === 2) return `orders.lines.{"p": part, "up": ${d.pick(['%.sku', '%.%.id', '%.%.%.x', '%.qty'])}}`;
    if (special === 3) return `orders@$o.lines@$l[$l.n = $o.price or $o.qty > 2]${d.pick(['.$o.sku', '.$l.part', '.[$o.sku, $l.part]', ''])}`;
    if (special === 4) return `orders.lines#$k[${d.pick(['$k = 0', '$k < 2', 'n > 1'])}].${d.pick(['part', '$k', '[$k, n]', '%.sku'])}`;
    if (special === 5) return `${d.pick(['words', 'nums', 'orders', 'orders.lines', 'grid'])}[${d.pick(['%.flag', '%.id > 1', '$$.flag', '%'])}]`;
    const steps = some(step, 0, 3);
    let made = decorate(start, steps.length === 0);
    steps.forEach((text, index) => { made += `.${decorate(text, index === steps.length - 1)}`; });
    if (depth > 0 && d.chance(0.25)) made += `.${d.pick(['$string()', '$uppercase()', '$type()', '$count()', '$keys()', '(price * qty)', '$sum(lines.n)', '[$]', '{"v": $}', '$number()', '$length()', '($ & "!")'])}`;
    return made;
  }

  function lambda(depth) {
    const name = d.pick(['v', 'x', 'y']);
    return d.pick([
      () => {
        variables.push(name);
        const body = any(Math.max(depth - 1, 0));
        variables.pop();
        return `${d.pick(['function', 'λ'])}($${name}) { ${body} }`;
      },
      () => `function($v, $i, $a) { ${d.pick(['$i', '[$v, $i]', '$count($a)', '$v & $i', '$v = $a[$i]'])} }`,
      () => d.pick(['$uppercase', '$string', '$sum', '$count', '$not', '$substring(?, 1)', '$append(?, 0)', '$power(2, ?)', '$type', '$exists', '$number', '$formatNumber(?, "0.0")', '$keys', '$lowercase', '$abs']),
      () => `function($v)<${d.pick(['n:n', 's:s', 'x:x', 'a:a', 'a<n>:n', 'n-:n', 'j:j', '(ns):s', 's?:x', 'o:x', 'b:b', 'x+:x', 'f:f', 'l:l'])}> { ${d.pick(['$v', '$string($v)', '[$v]', '$v + 1'])} }`,
      () => d.pick(['($uppercase ~> $trim)', '($string ~> $length)', '(function($v) { $v } ~> $count)', '$join(?, "-")']),
    ])();
  }

  const classes = {
    number: () => number(3),
    string: () => string(3),
    array: () => array(3),
    object: () => object(3),
    boolean: () => boolean(2),
    path: () => path(3),
    block: () => {
      const first = any(2);
      variables.push('v');
      const second = any(2);
      variables.push('w');
      const third = any(2);
      return `($v := ${first}; $w := ${second}; ${third})`;
    },
    call: () => `${lambda(2)}(${some(() => any(1), 0, 3).join(', ')})`,
    chain: () => `${any(2)} ~> ${d.chance(0.6) ? lambda(2) : d.pick(['$string()', '$sum()', '$uppercase', '$map($string)', '$substring(1)', '$append([1])', '$sort() ~> $reverse()', '$foo', '1'])}`,
    closure: () => d.pick([
      `($f := function($n) { $n <= 1 ? 1 : $n * $f($n - 1) }; $f(${d.below(9)}))`,
      `($f := function($n, $a) { $n <= 0 ? $a : $f($n - 1, $a + $n) }; $f(${d.below(60)}, 0))`,
      `($add := function($x) { function($y) { $x + $y } }; $add(${leaf('number')})(${leaf('number')}))`,
      `($p := $substring(?, ${d.below(3)}, ?); $p(${leaf('string')}, ${d.below(4)}))`,
      `($x := ${any(1)}; ($x := ${any(1)}; $x); $x)`,
      `($even := function($n) { $n = 0 ? true : $odd($n - 1) }; $odd := function($n) { $n = 0 ? false : $even($n - 1) }; $even(${d.below(20)}))`,
      `$map([1..3], function($i) { $i + ${leaf('number')} })[${d.below(3)}]`,
      `(function($x, $y) { [$x, $y] })(${some(() => leaf('number'), 0, 3).join(', ')})`,
      `($c := $uppercase ~> $length; $c(${leaf('string')}))`,
      `($f := ${lambda(2)}; $g := ${lambda(2)}; ($f ~> $g)(${any(1)}))`,
    ]),
    malformed: () => {
      const whole = any(2);
      const cut = d.below(whole.length + 1);
      return d.pick([
        () => whole.slice(0, cut),
        () => whole.slice(0, cut) + d.pick([')', ']', '(', '}', '..', '$', '%', '@', '#', '"', '`', '/', ':=', '~>', '!', '?', '1', '^(', '|', '{', ',', ';', '.', '😀']) + whole.slice(cut),
        () => `${whole} ${whole}`,
        () => d.pick(['@$x', '#$i', 'orders@x', 'orders#1', '%', '%.a', 'a{b:c}{d:e}', 'a{b:c}[0]', '"a" := 1', '$x(', 'function(x){1}', 'function($x)<q:n>{1}', 'a.1', '"\\x"', '"\\u12"', '1e999', '/a', '//', '/a/z', '[1..]', 'a[', '? 1 : 2', '/* x', '`a', "'b", '1 2', '$f(?)', '3(?)', '{"a"}', '{"a":}', '|$|', 'a^()', '<s>', '-', '**.%', '*{a}', 'x.()', '()', '(;)', '[,]', 'a:=1', 'and', 'or or or', 'in in in', 'and and and', '$.and', 'a and', 'function', '$', '$$', '$$$', 'null.a', 'true[0]', '"a".b', '1.a', '[1].b', '{}.c', '$a.b', '(a).b', 'a.(b', '..', 'a..b', '[a..b]', 'a ? b', 'a ?: b', 'a ?? b', 'a ?', 'λ($x){$x}(1)']),
      ])();
    },
  };
  const name = d.pick(Object.keys(classes));
  return { class: name, text: classes[name]() };
}

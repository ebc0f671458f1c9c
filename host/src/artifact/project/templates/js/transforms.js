/**
 * Adds amount_eur.
 *
 * What is thrown refuses the row, null leaves it out, a list makes several rows of it.
 */
export function toEuro(record, { rates }) {
  const rate = rates[record.currency];
  if (rate === undefined) throw new RangeError(`no rate for ${record.currency}`);
  return { ...record, amount_eur: Math.round(record.amount * rate * 100) / 100 };
}

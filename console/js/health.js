// How well a camera works, in words and pictograms; the grade is the API's.

const KIND = { excellent: 'ok', fair: 'warn', poor: 'bad', unusable: 'bad' };

/** What the API says, as a sentence. */
export const sentence = (text) => text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');

/** `{ word, kind, reasons }` of a camera. */
export function health({ health, status, reason }) {
  if (status === 'disabled') return { word: 'Switched off', kind: 'off', reasons: [sentence(reason || 'switched off in the configuration')] };
  if (!health) return { word: 'Measuring …', kind: 'off', reasons: ['It takes a few seconds until there is something to say.'] };
  const reasons = health.reasons.map(({ detail }) => sentence(detail));
  if (!reasons.length) reasons.push('Frames come evenly, are analysed as often as configured, and are answered quickly.');
  return { word: health.grade[0].toUpperCase() + health.grade.slice(1), kind: KIND[health.grade], reasons };
}

/** The time below which this share of what happened between two answers of `/latency` stayed; in seconds, null of nothing. */
export function quantile(share, now, before) {
  const old = new Map((before?.buckets ?? []).map((bucket) => [bucket.le, bucket.count]));
  const buckets = now.buckets.map(({ le, count }) => ({ le, count: count - (old.get(le) ?? 0) })).sort((a, b) => (a.le ?? Infinity) - (b.le ?? Infinity));
  const total = buckets.at(-1)?.count ?? 0;
  if (total <= 0) return null;
  let [low, under] = [0, 0];
  for (const { le, count } of buckets) {
    if (count >= share * total) return le === null ? low : low + (le - low) * ((share * total - under) / Math.max(1, count - under));
    [low, under] = [le, count];
  }
  return low;
}

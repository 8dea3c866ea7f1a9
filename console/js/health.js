// How well a camera works, as a grade with its reasons.

const GRADES = ['excellent', 'fair', 'poor', 'unusable'];
const KIND = ['ok', 'warn', 'bad', 'bad'];

/** Shares of frames and of faces from which on something is said. */
const COVERED = [0.02, 0.25];
const MISSED = [0.75, 0.4];
const SLOW_MS = [400, 1000];
const REFUSED_FACES = 0.5;
const LEAST_FACES = 8;

const FACES = {
  too_small: 'Most faces here are too small to be recognised: move the camera nearer, or choose a stream with more pixels.',
  too_blurred: 'Most faces here are blurred: more light, or a shorter exposure.',
  turned_away: 'Most faces here are turned away: a camera at eye level sees more of them.',
  badly_exposed: 'Most faces here are too dark or too bright: mind light from behind.',
  occluded: 'Something hides most of the faces here.',
};

/** `{ grade, kind, reasons }`; `rates` are store.rates(id), `events` the newest of the camera, `slowest` the p95 of its events in ms. */
export function health(camera, rates, events) {
  const reasons = [];
  let worst = 0;
  const say = (level, text) => { worst = Math.max(worst, level); reasons.push(text); };
  if (camera.status !== 'online') say(3, camera.reason || `It is ${camera.status}.`);
  else if (rates) judge(camera, rates, say);
  judgeFaces(camera, events, say);
  if (camera.stats.restarts_total > 0) say(camera.stats.restarts_total > 3 ? 2 : 1, `Its capture process was started again ${times(camera.stats.restarts_total)}.`);
  if (!reasons.length) reasons.push(rates ? 'Frames come evenly, are analysed as often as configured, and are answered quickly.' : 'Measuring …');
  return { grade: GRADES[worst], kind: KIND[worst], reasons };
}

function judge(camera, rates, say) {
  if (rates.seconds > 3 && rates.captured < 0.5) { say(3, 'No frames come.'); return; }
  const wanted = Math.min(camera.settings?.analysis_fps ?? 0, rates.captured);
  if (camera.switches.detect === false) say(1, 'Detection is switched off: nobody is looked for.');
  else if (rates.seconds > 3 && wanted > 0) {
    const share = rates.analysed / wanted;
    const level = share < MISSED[1] ? 2 : share < MISSED[0] ? 1 : 0;
    if (level) say(level, `Only ${rates.analysed.toFixed(1)} of ${wanted.toFixed(1)} analyses a second are made: the machine is too busy.`);
  }
  const out = rates.masked;
  const share = out > 0 ? rates.covered / out : 0;
  if (share > COVERED[0]) say(share > COVERED[1] ? 2 : 1, `${Math.round(share * 100)} % of the frames that go out are wholly covered.`);
}

function judgeFaces(camera, events, say) {
  const latencies = events.map((event) => event.latency_ms?.total).filter((value) => value > 0).sort((a, b) => a - b);
  const slow = latencies[Math.floor(latencies.length * 0.95)];
  if (latencies.length >= 5 && slow > SLOW_MS[0]) say(slow > SLOW_MS[1] ? 2 : 1, `Events take up to ${Math.round(slow)} ms.`);
  const faces = events.filter((event) => event.type === 'ended' || event.type === 'updated');
  if (faces.length < LEAST_FACES) return;
  for (const [reason, text] of Object.entries(FACES)) {
    const share = faces.filter((event) => event.identity?.reason === reason).length / faces.length;
    if (share > REFUSED_FACES) say(1, text);
  }
}

const times = (count) => (count === 1 ? 'once' : `${count} times`);

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

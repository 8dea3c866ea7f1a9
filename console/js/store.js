// What several views show: who looks on, the cameras, the events so far. One stream of events serves all views.
import { auth, get, pause, raw, all } from './api.js';

/** Events that the page remembers, newest first. */
const MOST = 1000;
/** Events of the past that are asked for at the start. */
const PAST = 300;
/** How long to wait before coming back, at most. */
const LONGEST_PAUSE = 15000;
/** A track of which nothing was heard for so long is believed only while its camera sees a face. */
const STALE = 5000;
const ROLES = ['viewer', 'operator', 'admin'];

const listeners = new Map();

export const store = {
  /** `{ role, cameras, version, boot_id, newest_event }`, or null while nobody is let in. */
  session: null,
  /** Cameras by id, as the API tells them. */
  cameras: new Map(),
  /** Events, newest first. */
  events: [],
  /** Tracks in sight now: `camera/track` to its newest event. */
  tracks: new Map(),
  /** Of the stream of events: `connecting`, `live`, `lost` or `paused`. */
  connection: 'connecting',

  /**
   * Hears of `session`, `cameras`, `event` (each new one), `events` (many at once), `tracks`, `connection`, `forgotten`
   * (somebody was, and what a view shows of people is to be asked for again). Gives what ends that.
   */
  on(name, callback) {
    if (!listeners.has(name)) listeners.set(name, new Set());
    listeners.get(name).add(callback);
    return () => listeners.get(name).delete(callback);
  },
  /** Whether whoever looks on may do what asks for `role`. */
  may(role) {
    return ROLES.indexOf(this.session?.role) >= ROLES.indexOf(role);
  },
  /** Asks who looks on. */
  async open() {
    this.session = await get('/session');
    tell('session', this.session);
    run();
    return this.session;
  },
  /** Forgets everything, as nobody looks on any more. */
  close() {
    stop?.abort();
    stop = null;
    last = null;
    Object.assign(this, { session: null, cameras: new Map(), events: [], tracks: new Map() });
    tell('session', null);
  },
  /** Takes the events as they are remembered by now, and not what the page remembers: somebody was forgotten. */
  async reread(past = PAST) {
    const session = await get('/session');
    stop?.abort();
    last = before(session, past);
    Object.assign(this, { session, events: [] });
    this.tracks.clear();
    tell('tracks', this.tracks);
    tell('forgotten');
    run();
  },
  /** Asks for the cameras. */
  async refreshCameras(options) {
    const cameras = await all('/cameras', {}, options);
    this.cameras = new Map(cameras.map((camera) => [camera.id, camera]));
    tell('cameras', this.cameras);
    return this.cameras;
  },
  /** Takes how some cameras are, as a stream tells it each second. */
  takeStates(cameras) {
    for (const camera of cameras) this.cameras.set(camera.id, camera);
    remember(cameras);
    tell('cameras', this.cameras);
  },
  /** Frames a second of a camera over the last seconds: `{ captured, analysed, masked, covered }`, or null at first. */
  rates(id) {
    const samples = history.get(id);
    if (!samples || samples.length < 2) return null;
    const [first, last] = [samples[0], samples.at(-1)];
    const seconds = (last.at - first.at) / 1000;
    const rate = (name) => Math.max(0, (last.stats[name] - first.stats[name]) / seconds);
    return {
      captured: rate('frames_captured_total'), analysed: rate('frames_analysed_total'),
      masked: rate('frames_masked_total'), covered: rate('frames_covered_total'), seconds,
    };
  },
  /** Takes what another answer says of a camera. */
  putCamera(camera) {
    this.cameras.set(camera.id, camera);
    tell('cameras', this.cameras);
  },
  dropCamera(id) {
    this.cameras.delete(id);
    tell('cameras', this.cameras);
  },
  /** The newest events of the tracks that `camera` sees now. */
  tracksOf(camera) {
    // an end may have been missed; a camera that sees nobody has the last word
    const now = performance.now();
    const gone = (event) => now - event.received > STALE && !this.cameras.get(camera)?.faces;
    return [...this.tracks.values()].filter((event) => event.camera === camera && !gone(event));
  },
};

function tell(name, value) {
  for (const callback of listeners.get(name) ?? []) callback(value);
}

/** How far back rates look. */
const WINDOW = 8000;
const history = new Map();

function remember(cameras) {
  const at = performance.now();
  for (const { id, stats } of cameras) {
    const samples = history.get(id) ?? [];
    // counts begin anew with a camera
    if (samples.length && samples.at(-1).stats.frames_captured_total > stats.frames_captured_total) samples.length = 0;
    samples.push({ at, stats });
    while (samples.length > 2 && at - samples[1].at > WINDOW) samples.shift();
    history.set(id, samples);
  }
}

function connection(state) {
  if (store.connection === state) return;
  store.connection = state;
  tell('connection', state);
}

// --- the stream of events ---

let stop = null;
let last = null;
/** The number of the last time that somebody was forgotten, as far as the page knows. */
let forgotten = 0;

/** The id of the event that so many ago was the newest. */
const before = (session, past) => `${session.boot_id}:${Math.max(0, session.newest_event - past)}`;

/** Reads events until told to stop; a tab that nobody sees reads none, and catches up. */
async function run() {
  stop?.abort();
  const own = new AbortController();
  stop = own;
  last ??= before(store.session, PAST);
  for (let failures = 0; !own.signal.aborted;) {
    try {
      await seen(own.signal);
      const ended = await read(own.signal, () => { failures = 0; });
      if (ended === 'hidden') continue;
      failures += 1;
    } catch (error) {
      if (own.signal.aborted || error.status === 401) return;
      failures += 1;
    }
    connection('lost');
    await pause(Math.min(LONGEST_PAUSE, 500 * 2 ** failures) * (0.75 + Math.random() / 2), own.signal).catch(() => {});
  }
}

/** Waits until somebody sees the tab. */
function seen(signal) {
  if (!document.hidden) return Promise.resolve();
  connection('paused');
  return new Promise((resolve) => {
    const look = () => { if (!document.hidden || signal.aborted) { document.removeEventListener('visibilitychange', look); resolve(); } };
    document.addEventListener('visibilitychange', look);
    signal.addEventListener('abort', look, { once: true });
  });
}

async function read(signal, begun) {
  const own = new AbortController();
  const leave = () => own.abort();
  const hide = () => { if (document.hidden) own.abort(); };
  signal.addEventListener('abort', leave, { once: true });
  document.addEventListener('visibilitychange', hide);
  try {
    const response = await raw('GET', '/events', undefined, { signal: own.signal, headers: last ? { 'last-event-id': last } : {} });
    connection('live');
    begun();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return 'ended';
      rest += value;
      const parts = rest.split('\n\n');
      rest = parts.pop();
      take(parts.map(message).filter(Boolean));
    }
  } catch (error) {
    if (document.hidden && !signal.aborted) return 'hidden';
    throw error;
  } finally {
    signal.removeEventListener('abort', leave);
    document.removeEventListener('visibilitychange', hide);
  }
}

/** What a message of server-sent events says; undefined where it is no event. */
function message(text) {
  let name = '';
  const data = [];
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':');
    const key = colon < 0 ? line : line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^ /, '');
    if (key === 'id') last = value;
    else if (key === 'event') name = value;
    else if (key === 'data') data.push(value);
  }
  return data.length ? { name, ...JSON.parse(data.join('\n')) } : undefined;
}

function take(events) {
  const news = events.filter((event) => event.name !== 'lost' && event.name !== 'forgotten');
  if (events.some((event) => event.name === 'lost' && event.reason === 'restarted')) {
    store.tracks.clear();
    store.events = [];
    forgotten = 0;
    get('/session').then((session) => { store.session = session; tell('session', session); }).catch(() => {});
  }
  const told = events.findLast((event) => event.name === 'forgotten');
  if (told && told.number !== forgotten) {
    forgotten = told.number;
    // what came before it may name whoever it was, also in this very answer
    if (store.events.length || events[0] !== told) {
      store.reread().catch(() => setTimeout(() => { if (store.session) store.reread().catch(() => {}); }, LONGEST_PAUSE));
      return;
    }
  }
  if (!news.length) return;
  for (const event of news) {
    event.received = performance.now();
    if (!event.track) continue;
    const key = `${event.camera}/${event.track}`;
    if (event.type === 'ended') store.tracks.delete(key);
    else store.tracks.set(key, event);
  }
  store.events = [...news.reverse(), ...store.events].slice(0, MOST);
  tell('tracks', store.tracks);
  if (news.length === 1) tell('event', news[0]);
  else tell('events', news);
}

/** Whether a token is in use, so that it can be let go. */
export const isLoggedIn = () => auth.token !== '';

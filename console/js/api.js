// The API: every request of the page goes through here.

const BASE = '/api/v1';
const KEY = 'visor-token';
/** How often a request that only reads is tried again where there were too many. */
const TRIES = 3;

/** An answer that is an error (RFC 9457). */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || body?.title || `the server answers ${status}`);
    this.name = 'Problem';
    Object.assign(this, { title: '', detail: this.message, reason: null }, body ?? {}, { status });
  }
}

let token = sessionStorage.getItem(KEY) ?? '';
let onUnauthorized = () => {};

export const auth = {
  get token() { return token; },
  /** Takes a token, for as long as this tab is open. */
  set(value) {
    token = value;
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  },
  /** What is done when the guard asks for a token. */
  onUnauthorized(callback) { onUnauthorized = callback; },
};

export const get = (path, options) => send('GET', path, undefined, options);
export const post = (path, body, options) => send('POST', path, body, options);
export const put = (path, body, options) => send('PUT', path, body, options);
export const patch = (path, body, options) => send('PATCH', path, body, options);
export const del = (path, options) => send('DELETE', path, undefined, options);

/** `path` with `query` behind it; what is null, undefined or '' is left out. */
export function withQuery(path, query) {
  const entries = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const text = new URLSearchParams(entries).toString();
  return text ? `${path}?${text}` : path;
}

/** The same as a URL part: ids and names in paths go through this. */
export const part = (text) => encodeURIComponent(text);

async function send(method, path, body, options = {}) {
  const response = await raw(method, path, body, options);
  if (response.status === 204) return null;
  const kind = response.headers.get('content-type') ?? '';
  return kind.includes('json') ? response.json() : response.blob();
}

/** The response itself, of an answer that is no error. A body that is no Blob, FormData or string goes as JSON. */
export async function raw(method, path, body, { signal, headers = {} } = {}) {
  const all = new Headers(headers);
  if (token) all.set('authorization', `Bearer ${token}`);
  const plain = body instanceof Blob || body instanceof FormData || typeof body === 'string' || body === undefined;
  if (!plain) all.set('content-type', 'application/json');
  const asked = { method, headers: all, body: plain ? body : JSON.stringify(body), signal, cache: 'no-store' };
  for (let tries = 1; ; tries += 1) {
    const response = await reach(path, asked);
    if (response.ok) return response;
    if (response.status === 429 && method === 'GET' && tries < TRIES) {
      await pause(Number(response.headers.get('retry-after') ?? 1) * 1000, signal);
      continue;
    }
    const problem = new Problem(response.status, await response.json().catch(() => null));
    if (response.status === 401 && !path.startsWith('/auth/')) onUnauthorized(problem);
    throw problem;
  }
}

async function reach(path, asked) {
  try {
    return await fetch(BASE + path, asked);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, { detail: 'Visor does not answer. Is it running?' });
  }
}

/** Waits; rejects when `signal` says so. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const done = setTimeout(resolve, milliseconds);
    signal?.addEventListener('abort', () => { clearTimeout(done); reject(new DOMException('stopped', 'AbortError')); }, { once: true });
  });
}

/** All items of a list that comes in pages. */
export async function all(path, query = {}, options) {
  const items = [];
  let cursor;
  do {
    const page = await get(withQuery(path, { ...query, cursor }), options);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return items;
}

/**
 * An `<img>` of a picture behind the guard. It is fetched once it comes into view, and gone from memory with the element. Where
 * there is none the element is left empty and marked `missing`.
 */
export function picture(path, alt, className = '') {
  const image = document.createElement('img');
  image.alt = alt;
  image.className = `${className} loading`.trim();
  watcher.observe(image);
  paths.set(image, path);
  return image;
}
const paths = new WeakMap();
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    queue.push(target);
    drain();
  }
}, { rootMargin: '200px' });

// Newest wish first, and a few a second, so that the rate limit leaves room for the rest: what has to wait is what was
// scrolled past.
const BETWEEN = 250;
const queue = [];
let loading = 0;
function drain() {
  while (loading < 2 && queue.length) {
    loading += 1;
    Promise.all([load(queue.pop()), pause(BETWEEN)]).finally(() => { loading -= 1; drain(); });
  }
}

async function load(image) {
  if (!image.isConnected) return;
  try {
    const bytes = await get(paths.get(image));
    if (!bytes) { image.classList.replace('loading', 'missing'); return; }
    const address = URL.createObjectURL(bytes);
    image.addEventListener('load', () => URL.revokeObjectURL(address), { once: true });
    image.src = address;
    image.classList.remove('loading');
  } catch {
    image.classList.replace('loading', 'missing');
  }
}

// Elements, messages and dialogs. Text enters the page as text nodes only.

/** An element: `h('button', { class: 'primary', onclick: save, 'aria-label': 'Save' }, 'Save')`. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) set(element, name, value);
  element.append(...nodes(children));
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
  else if (name === 'class') element.className = value;
  else if (name === 'style') for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
  else if (name === 'dataset') Object.assign(element.dataset, value);
  else if (name === 'value' || name === 'checked' || name === 'indeterminate') element[name] = value;
  else element.setAttribute(name, value === true ? '' : String(value));
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== '');
}

/** Puts these in the place of everything in `element`. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

/** An element of a drawing: `svg('path', { d: '…' })`. */
export function svg(tag, props = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, String(value));
  }
  element.append(...nodes(children));
  return element;
}

/** Says something for a while; a failure stays until it is closed. */
export function toast(message, kind = 'info') {
  const close = h('button', { type: 'button', class: 'quiet', 'aria-label': 'Close this message' }, '×');
  const note = h('div', { class: `toast ${kind}` }, h('p', {}, String(message)), close);
  close.addEventListener('click', () => note.remove());
  document.getElementById('toasts').append(note);
  if (kind !== 'bad') setTimeout(() => note.remove(), 6000);
}

/** Says what went wrong; that somebody is to log in says itself. */
export function toastError(error) {
  if (error?.name === 'AbortError' || error?.status === 401) return;
  toast(error?.detail || error?.message || String(error), 'bad');
}

/**
 * A dialog that keeps the focus until it is closed. `build(close)` gives its content; resolves to what `close` was given, or to
 * undefined where it was dismissed.
 */
export function dialog(title, build, { wide = false } = {}) {
  return new Promise((resolve) => {
    const element = h('dialog', { class: wide ? 'wide' : '', 'aria-labelledby': 'dialog-title' });
    let result;
    const close = (value) => { result = value; element.close(); };
    const dismiss = h('button', { type: 'button', class: 'quiet', 'aria-label': 'Close', onclick: () => close() }, '×');
    element.append(h('div', { class: 'dialog-head' }, h('h2', { id: 'dialog-title' }, title), dismiss), ...nodes([build(close)]));
    // whoever goes to another view leaves it behind
    const leave = () => close();
    window.addEventListener('hashchange', leave);
    const opener = document.activeElement;
    element.addEventListener('close', () => {
      window.removeEventListener('hashchange', leave);
      element.remove();
      giveBack(opener);
      resolve(result);
    });
    element.addEventListener('click', (event) => { if (event.target === element) close(); });
    document.body.append(element);
    element.showModal();
  });
}

/** The browser gives the focus back to what opened a dialog; where that was drawn anew meanwhile, it goes to what took its place. */
function giveBack(opener) {
  if (opener?.isConnected || (document.activeElement && document.activeElement !== document.body)) return;
  const keys = ['key', 'track'].filter((name) => opener?.dataset?.[name]);
  const found = (opener?.id && document.getElementById(opener.id))
    || keys.map((name) => document.querySelector(`[data-${name}="${CSS.escape(opener.dataset[name])}"]`)).find(Boolean)
    || document.querySelector('main h1');
  found?.focus({ preventScroll: true });
}

/** Asks; resolves to true or false. */
export async function confirm(title, text, yes = 'Yes', { danger = false } = {}) {
  const answer = await dialog(title, (close) => [
    h('p', {}, text),
    h('div', { class: 'actions' },
      h('button', { type: 'button', onclick: () => close(false) }, 'Cancel'),
      h('button', { type: 'button', class: danger ? 'danger' : 'primary', onclick: () => close(true) }, yes)),
  ]);
  return answer === true;
}

/** A label over its control, with a hint under it. `control` gets an id. */
export function field(label, control, hint) {
  control.id ||= `f${++counter}`;
  const under = hint && h('p', { class: 'hint', id: `${control.id}-hint` }, hint);
  if (under) control.setAttribute('aria-describedby', under.id);
  return h('div', { class: 'field' }, h('label', { for: control.id }, label), control, under);
}
let counter = 0;

/** The first lines of a view: its one h1, and what can be done there. */
export function head(title, ...actions) {
  return h('div', { class: 'head' }, h('h1', { tabindex: '-1' }, title), h('div', { class: 'head-actions' }, actions));
}

/** What is shown where there is nothing. */
export function empty(title, text, ...actions) {
  return h('div', { class: 'empty' }, h('h2', {}, title), h('p', {}, text), actions);
}

/** "3 s ago", "5 min ago", "yesterday, 14:05". */
export function ago(time, now = Date.now()) {
  const at = new Date(time);
  const seconds = Math.max(0, (now - at) / 1000);
  if (Number.isNaN(seconds)) return '';
  if (seconds < 10) return 'just now';
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  const clock = clockOf(at);
  return at.toDateString() === new Date(now).toDateString() ? clock : `${at.toLocaleDateString()}, ${clock}`;
}

/** "14:05:09" */
export function clockOf(time) {
  return new Date(time).toLocaleTimeString([], { hour12: false });
}

/** A length of time in seconds, in words: "5 min". */
export function length(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

/** Copies text, and says so. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast('Copied');
  } catch {
    toast('The browser does not let this page copy; mark the text and copy it by hand', 'bad');
  }
}

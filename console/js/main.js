// The frame around the views: what is shown for which address, who may see it, how the connection is.
import { auth } from './api.js';
import { h, fill, toastError } from './dom.js';
import { icon } from './icons.js';
import { store, isLoggedIn } from './store.js';

/** Views by the first word of the address behind `#/`; those with a title are in the navigation. */
const VIEWS = {
  wall: { load: () => import('./views/wall.js'), title: 'Wall', icon: 'wall' },
  events: { load: () => import('./views/events.js'), title: 'Events', icon: 'events' },
  people: { load: () => import('./views/people.js'), title: 'People', icon: 'people' },
  strangers: { load: () => import('./views/strangers.js'), title: 'Strangers', icon: 'strangers' },
  privacy: { load: () => import('./views/privacy.js'), title: 'Privacy', icon: 'privacy' },
  camera: { load: () => import('./views/camera.js'), under: 'wall' },
  add: { load: () => import('./views/add.js'), under: 'wall', role: 'admin' },
  person: { load: () => import('./views/person.js'), under: 'people' },
};

const main = document.getElementById('main');
let leave = null;
let turn = 0;

/** The view, the id and the query of the address. */
function address() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  const [name, id] = path.split('/').map(decode);
  return { name: Object.hasOwn(VIEWS, name) ? name : 'wall', id: id ?? '', query: new URLSearchParams(query) };
}

function decode(text) {
  try { return decodeURIComponent(text); } catch { return ''; }
}

async function navigate() {
  const mine = ++turn;
  const { name, ...params } = address();
  const wanted = VIEWS[name];
  const view = wanted.role && !store.may(wanted.role) ? VIEWS.wall : wanted;
  mark(view);
  await show(mine, () => view.load(), params);
}

async function show(mine, load, params) {
  try { leave?.(); } catch (error) { toastError(error); }
  leave = null;
  const root = h('div', { class: 'view' });
  try {
    const module = await load();
    if (mine !== turn) return;
    fill(main, root);
    const left = await module.show(root, params);
    if (mine !== turn) { left?.(); return; }
    leave = left ?? null;
  } catch (error) {
    if (mine !== turn || error.status === 401) return;
    fill(main, h('div', { class: 'view' }, h('h1', { tabindex: '-1' }, 'This cannot be shown'), h('p', { role: 'alert' }, error.detail ?? error.message),
      h('p', {}, h('a', { href: '#/wall' }, 'Back to the wall'))));
  }
  if (mine === turn) settle();
}

/** Whoever cannot see that the view is another one is told by the focus. */
function settle() {
  window.scrollTo(0, 0);
  if (started) main.querySelector('h1')?.focus({ preventScroll: true });
  started = true;
}
let started = false;

// --- navigation and status ---

const nav = document.getElementById('nav');
const links = new Map();

function buildNav() {
  const entries = Object.entries(VIEWS).filter(([, view]) => view.title);
  fill(nav, h('ul', {}, entries.map(([name, view]) => {
    const link = h('a', { href: `#/${name}` }, icon(view.icon), h('span', {}, view.title));
    links.set(view, link);
    return h('li', {}, link);
  })));
}

function mark(view) {
  const current = view?.under ? VIEWS[view.under] : view;
  for (const [other, link] of links) {
    if (other === current) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

const CONNECTION = {
  connecting: ['warn', 'Connecting'],
  live: ['ok', 'Live'],
  lost: ['bad', 'No connection'],
  paused: ['off', 'Paused'],
};

function status() {
  const [kind, word] = CONNECTION[store.connection];
  const state = h('span', { class: `state ${kind}`, role: 'status' }, icon(kind), word);
  const out = isLoggedIn() && h('button', { type: 'button', class: 'quiet', onclick: logOut }, icon('logout'), h('span', { class: 'wide-only' }, 'Log out'));
  const role = store.session && isLoggedIn() && h('span', { class: 'chip wide-only' }, store.session.role);
  fill(document.getElementById('status'), state, role, out);
  document.getElementById('status').hidden = !store.session;
}

// --- who looks on ---

function logOut() {
  auth.set('');
  start();
}

/** Shows the login view, and nothing else. */
async function askForLogin(problem) {
  auth.set('');
  store.close();
  document.body.classList.add('locked');
  nav.hidden = true;
  await show(++turn, () => import('./views/login.js'), { problem, done: start });
}

async function start() {
  store.close();
  try {
    await store.open();
  } catch (error) {
    if (error.status === 401) return;
    fill(main, h('div', { class: 'view' }, h('h1', {}, 'Visor does not answer'), h('p', { role: 'alert' }, error.detail),
      h('button', { type: 'button', class: 'primary', onclick: start }, 'Try again')));
    return;
  }
  document.body.classList.remove('locked');
  nav.hidden = false;
  await navigate();
}

auth.onUnauthorized((problem) => { if (!document.body.classList.contains('locked')) askForLogin(problem); });
store.on('connection', status);
store.on('session', status);
window.addEventListener('hashchange', () => { if (store.session) navigate(); });
buildNav();
status();
start();

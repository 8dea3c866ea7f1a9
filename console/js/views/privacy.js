import { del, get } from '../api.js';
import { ago, clockOf, copy, dialog, field, fill, h, head, length, toastError } from '../dom.js';
import { icon } from '../icons.js';
import { store } from '../store.js';

/** How often it is looked at again while somebody looks. */
const AGAIN = 15000;
const WORD = 'erase everything';

/** What is not known has a question mark, not the sign for what is switched off. */
const sign = (kind) => icon(kind === 'off' ? 'help' : kind);

const STATES = {
  ok: ['ok', 'Holds'],
  warn: ['warn', 'Could be better'],
  fail: ['bad', 'Does not hold'],
  unknown: ['off', 'Not known'],
};
const SUMMARY = {
  ok: ['ok', 'Everything that is promised holds.'],
  unknown: ['off', 'What could be looked at holds.'],
  warn: ['warn', 'What is promised holds; some things could be better.'],
  fail: ['bad', 'Something does not hold. See below.'],
};

export async function show(root) {
  document.title = 'Privacy · Visor';
  const own = new AbortController();
  const parts = { summary: h('div', { role: 'status' }), checks: h('ul', { class: 'checks' }), kept: h('div'), cameras: h('section', { class: 'card', 'aria-labelledby': 'by-camera' }) };

  async function load() {
    const found = await get('/privacy', { signal: own.signal });
    const [kind, words] = SUMMARY[found.state];
    fill(parts.summary, h('p', { class: `note ${kind} summary` }, sign(kind), h('span', {}, h('strong', {}, words), ` Looked at ${clockOf(found.checked_at)}.`)));
    fill(parts.checks, found.checks.map(check));
    fill(parts.kept, kept(found.kept));
    parts.cameras.hidden = found.cameras.length === 0;
    fill(parts.cameras, h('h2', { id: 'by-camera' }, 'By camera'), cameras(found.cameras));
  }
  const again = () => load().catch(toastError);

  await load();
  fill(root, head('Privacy', h('button', { type: 'button', onclick: again }, 'Check again')), parts.summary,
    h('section', { class: 'stack', 'aria-labelledby': 'promises' }, h('h2', { id: 'promises' }, 'What is promised, checked now'), parts.checks),
    parts.cameras,
    h('section', { class: 'card', 'aria-labelledby': 'kept' }, h('h2', { id: 'kept' }, 'What is kept, and for how long'), h('p', { class: 'hint' }, 'All of it in memory; nothing of it is on a disk.'), parts.kept),
    store.may('admin') && erasing(again));
  const timer = setInterval(() => { if (!document.hidden) load().catch(() => {}); }, AGAIN);
  return () => { own.abort(); clearInterval(timer); };
}

function check({ title, state, detail }) {
  const [kind, word] = STATES[state] ?? STATES.unknown;
  return h('li', { class: 'card check' }, h('div', { class: 'spread' }, h('h3', {}, title), h('span', { class: `state ${kind}` }, sign(kind), word)), h('p', { class: 'small' }, detail));
}

function kept(items) {
  const long = ({ seconds }) => (seconds ? h('strong', {}, `${length(seconds)}. `) : '');
  const many = ({ count, most }) => (count === null ? '–' : most ? `${count.toLocaleString()} of at most ${most.toLocaleString()}` : count.toLocaleString());
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'What is kept' }, h('table', { class: 'kept' },
    h('thead', {}, h('tr', {}, ['What', 'Now', 'How long'].map((title) => h('th', { scope: 'col' }, title)))),
    h('tbody', {}, items.map((item) => h('tr', {}, h('th', { scope: 'row' }, item.title), h('td', {}, many(item)), h('td', {}, long(item), item.until))))));
}

function cameras(list) {
  const audit = ({ audit: seen }) => {
    if (!seen) return 'not looked at yet';
    return seen.faces ? h('span', { class: 'state bad' }, icon('bad'), `${seen.faces} faces found, the last ${ago(seen.last_face)}`) : `${seen.looks} looks, no face; the last ${ago(seen.last)}`;
  };
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Privacy by camera' }, h('table', { class: 'broad' },
    h('thead', {}, h('tr', {}, ['Camera', 'Shown masked', 'Covered', 'Without proof', 'Self-audit', 'Settings that show faces'].map((title) => h('th', { scope: 'col' }, title)))),
    h('tbody', {}, list.map((camera) => h('tr', {},
      h('th', { scope: 'row' }, h('a', { href: `#/camera/${encodeURIComponent(camera.id)}` }, camera.id)),
      h('td', {}, camera.masked.toLocaleString()), h('td', {}, camera.covered.toLocaleString()), h('td', {}, String(camera.unproven)),
      h('td', {}, audit(camera)), h('td', {}, camera.shows.length ? h('ul', {}, camera.shows.map((line) => h('li', {}, line))) : 'none'))))));
}

function erasing(done) {
  return h('section', { class: 'card', 'aria-labelledby': 'erasing' }, h('h2', { id: 'erasing' }, 'Erase everything'),
    h('p', {}, 'Forgets everybody, known or not, and all that was seen of them, at once. There is no way back, and a receipt.'),
    h('div', { class: 'actions' }, h('button', { type: 'button', class: 'danger', onclick: () => erase(done) }, icon('trash'), 'Erase everything')));
}

async function erase(done) {
  const receipt = await dialog('Erase everything?', (close) => {
    const word = h('input', { type: 'text', id: 'erase-word', autofocus: true, autocomplete: 'off', oninput: () => { go.disabled = word.value.trim().toLowerCase() !== WORD; } });
    const said = h('p', { class: 'said', role: 'alert' });
    const go = h('button', { type: 'submit', class: 'danger', disabled: true }, 'Erase everything');
    async function submit(event) {
      event.preventDefault();
      if (go.disabled) return;
      go.disabled = true;
      try { close(await del('/everything')); } catch (problem) { said.textContent = problem.detail; go.disabled = false; }
    }
    return h('form', { class: 'stack', onsubmit: submit },
      h('p', {}, 'People, their faces, strangers, appearances, best shots, remembered events and pictures that wait go at once, for all cameras.'),
      field(`Write “${WORD}” to go on`, word), said,
      h('div', { class: 'actions' }, h('button', { type: 'button', onclick: () => close() }, 'Cancel'), go));
  });
  if (!receipt) return;
  store.reread(0).catch(toastError);
  done();
  await dialog('Erased', (close) => {
    const lines = [['When', new Date(receipt.erased_at).toLocaleString()], ['People', receipt.people], ['Their faces', receipt.faces], ['Strangers', receipt.strangers],
      ['Appearances, with best shots', receipt.appearances], ['Enrolments', receipt.enrolments], ['Remembered events', receipt.events]];
    const text = JSON.stringify(receipt, null, 2);
    return h('div', { class: 'stack receipt' },
      h('dl', { class: 'about' }, lines.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, String(value))))),
      h('p', { class: 'hint' }, `Not here to be erased: ${receipt.left}.`),
      h('div', { class: 'actions' }, h('button', { type: 'button', onclick: () => copy(text) }, icon('copy'), 'Copy the receipt'), h('button', { type: 'button', class: 'primary', onclick: () => close() }, 'Close')));
  });
}

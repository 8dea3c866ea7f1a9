import { part, post } from '../api.js';
import { ago, dialog, empty, field, fill, h, head, toast, toastError } from '../dom.js';
import { icon } from '../icons.js';
import { nameStranger, patiently, reasonOf, shots } from '../people.js';
import { paged, refreshed } from '../pages.js';
import { store } from '../store.js';

export async function show(root, { query }) {
  document.title = 'Strangers · Visor';
  const own = new AbortController();
  const operator = store.may('operator');
  const list = h('ul', { class: 'strangers' });
  const shot = shots();
  const ignored = h('input', { type: 'checkbox', id: 'with-ignored', onchange: () => pages.load() });
  const pages = paged('/strangers', () => ({ ignored: ignored.checked || null }), draw, own.signal);

  function draw(problem) {
    const { shown } = pages;
    if (problem) fill(list, h('li', {}, empty(...reasonOf(problem))));
    else if (!shown.length) fill(list, h('li', {}, empty('No strangers', 'Whoever a camera sees well for two seconds, and nobody knows, is listed here, by an alias that is the same on every camera.')));
    else keepFocus(list, () => fill(list, shown.toSorted((a, b) => b.last_seen.localeCompare(a.last_seen)).map((stranger) => card(stranger, shown, operator, pages.load, shot))));
  }

  fill(root, head('Strangers', h('div', { class: 'row' }, ignored, h('label', { for: 'with-ignored' }, 'Show ignored ones'))),
    h('p', { class: 'muted' }, 'Groups of faces that formed by themselves. They are kept in memory only, and forgotten when they were not seen for a while.'),
    list, h('div', {}, pages.more));
  await pages.load();
  const meant = query.get('alias');
  if (meant) namedInAddress(meant, list, operator && pages.shown.some((stranger) => stranger.alias === meant));

  const off = refreshed(pages.load, (event) => Boolean(event.identity?.alias) || event.type === 'revised');
  return () => { own.abort(); off(); };
}

/** Somebody was chosen in another view: shown at once, and asked for a name by those who may give one. */
async function namedInAddress(alias, list, mayName) {
  // whoever comes back or reloads is not asked again
  history.replaceState(null, '', '#/strangers');
  const chosen = list.querySelector(`[data-alias="${CSS.escape(alias)}"]`);
  if (!chosen) return toast(`${alias} is not among the strangers any more, or is further down`);
  chosen.classList.add('chosen');
  chosen.scrollIntoView({ block: 'center' });
  if (mayName) goToPerson(await nameStranger(alias));
}

function goToPerson(person) {
  if (person) location.hash = `#/person/${encodeURIComponent(person)}`;
}

/** Draws anew; whoever was at a control of a stranger is there again. */
function keepFocus(list, draw) {
  const at = document.activeElement?.dataset?.key;
  draw();
  if (at) list.querySelector(`[data-key="${CSS.escape(at)}"]`)?.focus({ preventScroll: true });
}

function card(stranger, all, operator, reload, shot) {
  const { alias } = stranger;
  const done = async (ask, words) => {
    try { await patiently(ask); toast(words, 'ok'); await reload(); } catch (error) { toastError(error); }
  };
  const name = async () => goToPerson(await nameStranger(alias));
  const merge = async () => {
    const into = await chooseOther(alias, all);
    if (into) await done(() => post(`/strangers/${part(alias)}/merge`, { into }), `${alias} is ${into} from now on`);
  };
  const ignore = () => done(() => post(`/strangers/${part(alias)}/ignore`, { ignored: !stranger.ignored }), stranger.ignored ? `${alias} is listed again` : `${alias} is ignored`);
  const button = (key, props, ...words) => h('button', { type: 'button', dataset: { key: `${alias}-${key}` }, 'aria-label': `${words.at(-1)}: ${alias}`, ...props }, words);
  const here = [...store.tracks.values()].filter((event) => event.identity?.alias === alias).map((event) => event.camera);
  return h('li', { class: 'card stranger', dataset: { alias } },
    h('div', { class: 'stranger-shot' }, stranger.best_shot ? shot(stranger.best_shot, `Best shot of ${alias}`) : icon('strangers')),
    h('div', { class: 'stack' },
      h('div', { class: 'row' }, h('h2', {}, alias), here.length > 0 && h('span', { class: 'state ok' }, icon('eye'), `In sight, ${[...new Set(here)].join(', ')}`), stranger.ignored && h('span', { class: 'state off' }, icon('off'), 'Ignored')),
      h('p', { class: 'muted small' }, `Seen ${stranger.appearances === 1 ? 'once' : `${stranger.appearances} times`}${stranger.cameras.length ? ` on ${stranger.cameras.join(', ')}` : ''}`),
      h('p', { class: 'muted small' }, `First ${ago(stranger.first_seen)}, last ${ago(stranger.last_seen)}; ${stranger.face_count} ${stranger.face_count === 1 ? 'face' : 'faces'}`)),
      operator && h('div', { class: 'stranger-actions row' },
        button('name', { class: 'primary', onclick: name }, 'Name'),
        all.length > 1 && button('merge', { onclick: merge }, 'Merge'),
        button('ignore', { class: 'quiet', onclick: ignore }, stranger.ignored ? 'Show again' : 'Ignore')));
}

/** Resolves to the alias that both are to have. */
function chooseOther(alias, all) {
  return dialog(`Who else is ${alias}?`, (close) => {
    const others = all.filter((other) => other.alias !== alias);
    const choice = h('select', { id: 'merge-into', autofocus: true }, others.map((other) => h('option', { value: other.alias }, `${other.alias}, last ${ago(other.last_seen)}`)));
    return h('form', { class: 'stack', onsubmit: (event) => { event.preventDefault(); close(choice.value); } },
      field('The same as', choice, 'Both are one from then on, under this alias, with all that was seen of either.'),
      h('div', { class: 'actions' }, h('button', { type: 'button', onclick: () => close() }, 'Cancel'), h('button', { type: 'submit', class: 'primary' }, 'Merge')));
  });
}

import { post } from '../api.js';
import { ago, dialog, empty, fill, h, head } from '../dom.js';
import { icon } from '../icons.js';
import { enrol, initials, patiently, presence, quality, reasonOf, thumbnail } from '../people.js';
import { paged, refreshed } from '../pages.js';
import { thresholdCard } from '../threshold.js';
import { store } from '../store.js';

/** What is typed is asked for after a pause. */
const TYPING = 250;

export async function show(root) {
  document.title = 'People · Visor';
  const operator = store.may('operator');
  const own = new AbortController();
  const search = h('input', { type: 'search', id: 'people-search', placeholder: 'Name or id', 'aria-label': 'Search people by name or id' });
  const list = h('ul', { class: 'people' });
  const count = h('p', { class: 'muted small', role: 'status' });
  const pages = paged('/persons', () => ({ name: search.value.trim() }), draw, own.signal);

  function draw(problem) {
    const { shown, cursor } = pages;
    const wanted = search.value.trim();
    count.textContent = shown.length ? `${shown.length}${cursor ? ' and more' : ''} ${shown.length === 1 ? 'person' : 'people'}` : '';
    if (problem) return fill(list, h('li', {}, empty(...reasonOf(problem))));
    if (shown.length) return fill(list, shown.map(card));
    if (wanted) return fill(list, h('li', {}, empty('Nobody', `Nobody is called “${wanted}”.`)));
    return fill(list, h('li', {}, empty('Nobody is known yet', operator
      ? 'Add somebody by a picture, or give a stranger a name.'
      : 'Whoever may change this can add people by pictures.', operator && h('button', { type: 'button', class: 'primary', onclick: add }, icon('plus'), 'Add a person'))));
  }

  async function add() {
    const person = await enrol(null);
    if (person) location.hash = `#/person/${encodeURIComponent(person)}`;
  }

  let typed;
  search.addEventListener('input', () => { clearTimeout(typed); typed = setTimeout(() => { pages.shown = []; pages.load(); }, TYPING); });
  const off = refreshed(pages.load, (event) => ['identified', 'revised', 'retracted', 'ended'].includes(event.type));

  fill(root,
    head('People', operator && h('button', { type: 'button', onclick: () => searchByPicture() }, icon('search'), 'Find by picture'),
      operator && h('button', { type: 'button', class: 'primary', onclick: add }, icon('plus'), 'Add a person')),
    h('div', { class: 'search' }, search, count),
    list, h('div', {}, pages.more),
    operator && thresholdCard(own.signal));
  await pages.load();
  return () => { own.abort(); clearTimeout(typed); off(); };
}

function card(person) {
  const faces = `${person.face_count} ${person.face_count === 1 ? 'face' : 'faces'}`;
  return h('li', {}, h('a', { class: 'card person-card', href: `#/person/${encodeURIComponent(person.id)}` },
    initials(person.name),
    h('span', { class: 'who' }, h('strong', {}, person.name), h('span', { class: 'muted small' }, faces, person.expires_at && ` · until ${new Date(person.expires_at).toLocaleDateString()}`)),
    h('span', { class: 'row' }, person.tags.slice(0, 3).map((tag) => h('span', { class: 'chip' }, tag))),
    presence(person, ago)));
}

/** Who is on a picture? */
function searchByPicture() {
  return dialog('Find somebody by a picture', (close) => {
    const result = h('div', { class: 'stack', 'aria-live': 'polite' });
    const file = h('input', { type: 'file', accept: 'image/*', id: 'search-file', class: 'visually-hidden', onchange: () => { look(file.files[0]); file.value = ''; } });
    async function look(picture) {
      if (!picture) return;
      fill(result, h('div', { class: 'sent-row' }, thumbnail(picture), h('p', { class: 'muted' }, 'Looking …')));
      const preview = result.querySelector('canvas');
      try {
        const found = await patiently(() => post('/faces/search?top_k=5', picture));
        fill(result, h('div', { class: 'sent-row' }, preview, h('div', { class: 'sent-state' }, quality(found.face.quality))), matches(found, () => close()));
      } catch (problem) {
        const [what, help] = reasonOf(problem);
        fill(result, h('div', { class: 'sent-row' }, preview, h('div', { class: 'sent-state' }, h('span', { class: 'state bad' }, icon('bad'), what), h('p', { class: 'hint' }, help))));
      }
    }
    const drop = h('div', { class: 'drop' }, icon('search'), h('p', {}, 'Drop a picture here, or choose one.'),
      h('label', { class: 'button', for: 'search-file' }, 'Choose a picture'), file,
      h('p', { class: 'hint' }, 'The largest face counts. The picture is looked at and forgotten.'));
    drop.addEventListener('dragover', (event) => event.preventDefault());
    drop.addEventListener('drop', (event) => { event.preventDefault(); look(event.dataTransfer.files[0]); });
    return h('div', { class: 'stack' }, drop, result);
  });
}

function matches(found, leave) {
  if (!found.matches.length) return h('p', {}, 'Nobody is known whom this could be.');
  const first = found.matches[0];
  const ahead = first.score - (found.matches[1]?.score ?? -1);
  const is = first.score >= found.threshold && ahead >= found.margin;
  return [
    h('p', { class: `note ${is ? 'ok' : ''}` }, is ? `This is ${first.name}.` : first.score >= found.threshold
      ? 'This could be more than one person: the best two are too close together.' : 'Nobody who is known looks enough like this.'),
    h('ul', { class: 'stack' }, found.matches.map((match) => h('li', { class: 'spread' },
      h('a', { href: `#/person/${encodeURIComponent(match.person)}`, onclick: leave }, match.name),
      h('span', { class: 'muted' }, `${match.score.toFixed(2)}${match.score >= found.threshold ? ', enough' : ', too little'}`)))),
    h('p', { class: 'hint' }, `A name takes ${found.threshold.toFixed(2)}, and ${found.margin.toFixed(2)} more than the next person.`),
  ];
}

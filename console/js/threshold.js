// How well the gallery's people can be told apart: two heaps of scores, and the line where a name begins.
import { get } from './api.js';
import { fill, h, svg } from './dom.js';
import { icon } from './icons.js';

const WIDTH = 640;
const HEIGHT = 180;
/** Scores below this are shown only where there are any. */
const FROM = -0.25;

const VERDICTS = {
  good: ['ok', 'Fits'],
  look_alikes: ['warn', 'Look-alikes'],
  strict: ['warn', 'Strict'],
  differs: ['warn', 'Set otherwise'],
  too_few: ['off', 'Too few pictures'],
};

/** A card that fills itself; `signal` ends it. */
export function thresholdCard(signal) {
  const body = h('div', { class: 'stack' }, h('p', { class: 'muted' }, 'Comparing …'));
  const card = h('section', { class: 'card', id: 'threshold', 'aria-labelledby': 'threshold-title' },
    h('h2', { id: 'threshold-title' }, 'How well people are told apart'), body);
  get('/gallery/advice', { signal })
    .then((advice) => fill(body, ...content(advice)))
    .catch((error) => {
      if (error.name === 'AbortError') return;
      // the list above says so
      if (error.reason === 'recognition_off') card.hidden = true;
      else fill(body, h('p', { class: 'muted' }, error.detail));
    });
  return card;
}

function content(advice) {
  const [kind, word] = VERDICTS[advice.verdict] ?? VERDICTS.too_few;
  const some = advice.genuine.pairs + advice.impostor.pairs > 0;
  return [
    h('div', { class: 'advice' }, h('span', { class: `state ${kind}` }, icon(kind === 'off' ? 'help' : kind), word), h('p', {}, advice.advice)),
    some && plot(advice),
    h('dl', { class: 'about' },
      fact('Threshold', `${advice.threshold.toFixed(2)}${advice.configured ? `, set; by size ${advice.by_size.toFixed(2)}` : ', by the gallery\'s size'}`),
      fact('Margin', advice.margin.toFixed(2)),
      fact('One person\'s pairs', share(advice.genuine, 'reach it')),
      fact('Different people\'s', share(advice.impostor, 'reach it'))),
    advice.look_alikes.length > 0 && h('div', {}, h('h3', {}, 'People who look alike'),
      h('ul', {}, advice.look_alikes.map((pair) => h('li', { class: 'spread' },
        h('span', {}, link(pair.a), ' and ', link(pair.b)), h('span', { class: 'muted' }, pair.score.toFixed(2)))))),
    advice.sampled && h('p', { class: 'hint' }, 'Of this large gallery a part was compared, evenly picked.'),
  ].filter(Boolean);
}

const link = (person) => h('a', { href: `#/person/${encodeURIComponent(person.id)}` }, person.name);
const fact = (name, value) => h('div', {}, h('dt', {}, name), h('dd', {}, value));
const share = ({ pairs, reach }, words) => (pairs ? `${reach} of ${pairs} ${words}` : 'none yet');

function plot(advice) {
  const bars = advice.genuine.bars.length;
  const step = 2 / bars;
  const used = [advice.genuine.bars, advice.impostor.bars].flatMap((heap) => heap.map((n, i) => (n ? -1 + i * step : null)).filter((v) => v !== null));
  const from = Math.max(-1, Math.min(FROM, ...used));
  const x = (score) => ((score - from) / (1 - from)) * WIDTH;
  const outline = ({ bars: heap }) => {
    const highest = Math.max(1, ...heap);
    const points = heap.map((n, i) => {
      const left = x(Math.max(from, -1 + i * step));
      const top = HEIGHT - (n / highest) * (HEIGHT - 14);
      return -1 + (i + 1) * step <= from ? '' : `L${left.toFixed(1)} ${top.toFixed(1)}L${x(-1 + (i + 1) * step).toFixed(1)} ${top.toFixed(1)}`;
    });
    return `M0 ${HEIGHT}${points.join('')}L${WIDTH} ${HEIGHT}Z`;
  };
  const line = x(advice.threshold);
  const ticks = [];
  for (let tick = Math.ceil(from / 0.25) * 0.25; tick <= 1.001; tick += 0.25) ticks.push(tick);
  const label = `Scores of pairs of faces. One person's: ${share(advice.genuine, 'reach the threshold')}. Different people's: ${share(advice.impostor, 'reach it')}. The threshold is at ${advice.threshold.toFixed(2)}.`;
  const percent = (score) => `${((score - from) / (1 - from)) * 100}%`;
  return h('figure', { class: 'plot' },
    h('div', { class: 'plot-area' },
      svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
        svg('defs', {}, svg('pattern', { id: 'hatch', width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' }, svg('path', { d: 'M0 0V6', class: 'hatch' }))),
        svg('path', { d: outline(advice.impostor), class: 'impostor' }),
        svg('path', { d: outline(advice.genuine), class: 'genuine' }),
        svg('path', { d: `M${line.toFixed(1)} 0V${HEIGHT}`, class: 'line', 'vector-effect': 'non-scaling-stroke' })),
      h('span', { class: `line-label ${advice.threshold > 0.6 ? 'left' : ''}`, 'aria-hidden': 'true', style: { left: percent(advice.threshold) } }, `name from ${advice.threshold.toFixed(2)}`)),
    h('div', { class: 'axis', 'aria-hidden': 'true' }, ticks.map((tick) => h('span', { style: { left: percent(tick) } }, tick.toFixed(2).replace(/\.?0+$/, '')))),
    h('figcaption', { class: 'legend' },
      h('span', {}, h('span', { class: 'swatch genuine' }), 'Two pictures of one person'),
      h('span', {}, h('span', { class: 'swatch impostor' }), 'Pictures of two people'),
      h('span', { class: 'muted' }, 'further right: more alike; each heap as high as it can be')));
}

// Zones and privacy zones, drawn on a camera's picture: by dragging, or with the keyboard corner by corner.
import { fill, h, svg } from './dom.js';

/** How far an arrow key moves a corner: in fractions of the picture. */
const STEP = 0.01;
/** A drag that is shorter is a click. */
const LEAST = 0.02;

const clamp = (value) => Math.min(1, Math.max(0, Math.round(value * 10000) / 10000));

/**
 * An editor over a picture. `areas` are `{ kind: 'zone' | 'privacy', name, polygon }`; `changed(areas)` hears of every change. Gives
 * `{ element, set(areas), edit(on), add(kind) }`.
 */
export function zoneEditor(changed) {
  let areas = [];
  let editing = false;
  let drawing = 'privacy';
  let chosen = -1;
  const shapes = svg('svg', { class: 'zones-shapes', viewBox: '0 0 1 1', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  const labels = h('div', { class: 'zones-labels' });
  const handles = h('div', { class: 'zones-handles' });
  const element = h('div', { class: 'zones' }, shapes, labels, handles);

  const place = (event) => {
    const box = element.getBoundingClientRect();
    return [clamp((event.clientX - box.left) / box.width), clamp((event.clientY - box.top) / box.height)];
  };

  function draw() {
    fill(shapes, areas.map((area, index) => {
      const path = svg('path', { class: `zone ${area.kind}${index === chosen && editing ? ' chosen' : ''}`, d: `M${area.polygon.map((point) => point.join(' ')).join('L')}Z` });
      path.addEventListener('pointerdown', (event) => { if (editing) { event.stopPropagation(); choose(index); drag(event, move(index)); } });
      return path;
    }));
    fill(labels, areas.map((area) => {
      const left = Math.min(...area.polygon.map(([x]) => x));
      const top = Math.min(...area.polygon.map(([, y]) => y));
      return h('span', { class: `zone-label ${area.kind}`, style: { left: `${left * 100}%`, top: `${top * 100}%` } }, area.name);
    }));
    drawHandles();
  }

  function drawHandles() {
    const area = editing && areas[chosen];
    if (!area) { fill(handles); return; }
    fill(handles, area.polygon.map(([x, y], corner) => {
      const name = `Corner ${corner + 1} of ${area.polygon.length} of ${area.name}`;
      const button = h('button', { type: 'button', class: `handle ${area.kind}`, 'aria-label': `${name}; arrow keys move it`, style: { left: `${x * 100}%`, top: `${y * 100}%` } });
      button.addEventListener('pointerdown', (event) => { event.stopPropagation(); button.focus(); drag(event, (point) => { area.polygon[corner] = point; }); });
      button.addEventListener('keydown', (event) => key(event, area, corner));
      return button;
    }));
  }

  function key(event, area, corner) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (by) {
      event.preventDefault();
      const step = event.shiftKey ? STEP * 5 : STEP;
      area.polygon[corner] = area.polygon[corner].map((value, axis) => clamp(value + by[axis] * step));
    } else if (event.key === 'Delete' && area.polygon.length > 3) {
      area.polygon.splice(corner, 1);
    } else return;
    draw();
    handles.children[Math.min(corner, handles.childElementCount - 1)]?.focus();
    changed(areas);
  }

  /** Moves a whole area, and keeps it inside. */
  function move(index) {
    const before = areas[index].polygon.map((point) => [...point]);
    return (point, from) => {
      const shift = [0, 1].map((axis) => {
        const values = before.map((corner) => corner[axis]);
        return Math.min(1 - Math.max(...values), Math.max(-Math.min(...values), point[axis] - from[axis]));
      });
      areas[index].polygon = before.map((corner) => corner.map((value, axis) => clamp(value + shift[axis])));
    };
  }

  function drag(event, apply) {
    event.preventDefault();
    const from = place(event);
    const moved = (next) => { apply(place(next), from); draw(); };
    const ended = () => {
      window.removeEventListener('pointermove', moved);
      window.removeEventListener('pointerup', ended);
      window.removeEventListener('pointercancel', ended);
      changed(areas);
    };
    window.addEventListener('pointermove', moved);
    window.addEventListener('pointerup', ended);
    window.addEventListener('pointercancel', ended);
  }

  // beside all areas: a new one is drawn from corner to corner
  element.addEventListener('pointerdown', (event) => {
    if (!editing || event.button !== 0) return;
    const [x, y] = place(event);
    let mine = null;
    drag(event, ([right, bottom]) => {
      if (!mine && Math.hypot(right - x, bottom - y) < LEAST) return;
      if (!mine) {
        mine = { kind: drawing, name: freeName(drawing), polygon: [] };
        areas.push(mine);
        chosen = areas.length - 1;
      }
      mine.polygon = rectangle(x, y, right, bottom);
    });
  });

  function freeName(kind) {
    const stem = kind === 'privacy' ? 'private' : 'zone';
    for (let number = 1; ; number += 1) if (!areas.some((area) => area.name === `${stem}-${number}`)) return `${stem}-${number}`;
  }

  function choose(index) {
    chosen = index;
    draw();
    changed(areas);
  }

  return {
    element,
    get chosen() { return chosen; },
    set(next) { areas = next; chosen = Math.min(chosen, areas.length - 1); draw(); },
    edit(on) { editing = on; element.classList.toggle('editing', on); draw(); },
    choose,
    /** A new area in the middle, to be moved; what is drawn on the picture is of this kind from now on. */
    add(kind) {
      drawing = kind;
      areas.push({ kind, name: freeName(kind), polygon: rectangle(0.35, 0.35, 0.65, 0.65) });
      choose(areas.length - 1);
      handles.firstElementChild?.focus();
    },
  };
}

const rectangle = (x, y, right, bottom) => [[x, y], [right, y], [right, bottom], [x, bottom]];

/** Areas as lines of the configuration's file. */
export function zoneLines(camera, areas) {
  const point = (pair) => `[${pair.map((value) => Number(value.toFixed(4))).join(', ')}]`;
  const table = (list, area) => `[[cameras.${camera}.${list}]]\nname = "${area.name}"\npolygon = [${area.polygon.map(point).join(', ')}]\n`;
  return areas.map((area) => table(area.kind === 'privacy' ? 'privacy_zones' : 'zones', area)).join('\n');
}

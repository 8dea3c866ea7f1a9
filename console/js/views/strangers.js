import { fill, head } from '../dom.js';

export async function show(root) {
  document.title = 'Strangers · Visor';
  fill(root, head('Strangers'));
}

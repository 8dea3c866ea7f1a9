import { fill, head } from '../dom.js';

export async function show(root) {
  document.title = 'Camera · Visor';
  fill(root, head('Camera'));
}

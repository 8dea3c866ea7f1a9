import { fill, head } from '../dom.js';

export async function show(root) {
  document.title = 'Add a camera · Visor';
  fill(root, head('Add a camera'));
}

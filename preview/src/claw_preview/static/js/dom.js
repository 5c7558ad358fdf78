// Elements without a framework.

const SVG = 'http://www.w3.org/2000/svg';

/** An HTML element: attributes, `on...` listeners, `style` as an object, children as nodes or text. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') setStyle(element, value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function setStyle(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value !== undefined && value !== null) element.style.setProperty(name, value);
  }
}

/** The first sentence of a description; a generated file says in its further ones where it comes from. */
export const firstSentence = (text) => (text ?? '').split(/\n|(?<=[.!?])\s/)[0];

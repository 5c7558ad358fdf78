// One tooltip for the whole page, for the pointer and for the keyboard.

import { h } from './dom.js';

const bubble = h('div', { class: 'tip', role: 'tooltip', id: 'tip', hidden: true });

/** Show the element's label, at first `text`, while it is pointed at or focused. */
export function tip(element, text) {
  element.setAttribute('aria-label', text);
  const show = () => {
    document.body.append(bubble);
    bubble.textContent = element.getAttribute('aria-label');
    bubble.hidden = false;
    const { left, bottom, top } = element.getBoundingClientRect();
    const { width, height } = bubble.getBoundingClientRect();
    bubble.style.left = `${Math.max(8, Math.min(left - 12, innerWidth - width - 8))}px`;
    bubble.style.top = `${bottom + 8 + height > innerHeight ? top - height - 8 : bottom + 8}px`;
  };
  const hide = () => {
    bubble.hidden = true;
  };
  for (const event of ['mouseenter', 'focus']) element.addEventListener(event, show);
  for (const event of ['mouseleave', 'blur']) element.addEventListener(event, hide);
  return element;
}

// Words of the dashboard itself, in a small part of Markdown; never as HTML.

import { h } from '../dom.js';
import { interpolate } from '../variables.js';

export function draw(body, view) {
  const { content = '', mode = 'markdown' } = view.panel.options ?? {};
  const text = interpolate(content, view.scope, 'title');
  body.replaceChildren(h('div', { class: 'words' }, mode === 'markdown' ? markdown(text) : h('pre', {}, text)));
  return 'drawn';
}

/** Blocks: headings, lists, tables, code, paragraphs. */
export function markdown(text) {
  const blocks = text.replace(/\r/g, '').split(/(```[\s\S]*?```)|\n{2,}/).filter((block) => block?.trim());
  const code = (block) => h('pre', {}, block.replace(/^```.*\n?|```$/g, ''));
  const words = (block) => lines(block.split('\n').filter((line) => line.trim()));
  return blocks.flatMap((block) => (block.startsWith('```') ? code(block) : words(block)));
}

const KINDS = [
  [/^#{1,6}\s/, (group) => group.map((line) => h(`h${Math.min(6, /^#+/.exec(line)[0].length)}`, {}, inline(line.replace(/^#+\s*/, ''))))],
  [/^\s*[-*]\s/, (group) => [h('ul', {}, group.map((line) => h('li', {}, inline(line.replace(/^\s*[-*]\s+/, '')))))]],
  [/^\s*\d+\.\s/, (group) => [h('ol', {}, group.map((line) => h('li', {}, inline(line.replace(/^\s*\d+\.\s+/, '')))))]],
  [/^\s*\|/, (group) => [table(group)]],
  [/^(-{3,}|\*{3,})$/, () => [h('hr')]],
  [/^/, (group) => [h('p', {}, inline(group.join(' ')))]],
];

function lines(all) {
  const kindOf = (line) => KINDS.findIndex(([start]) => start.test(line));
  const groups = [];
  for (const line of all) {
    if (groups.at(-1)?.kind === kindOf(line)) groups.at(-1).lines.push(line);
    else groups.push({ kind: kindOf(line), lines: [line] });
  }
  return groups.flatMap((group) => KINDS[group.kind][1](group.lines));
}

function table(rows) {
  const cells = (row, tag) => h('tr', {}, row.trim().replace(/^\||\|$/g, '').split('|').map((cell) => h(tag, {}, inline(cell.trim()))));
  const [head, ...rest] = rows;
  const body = rest.filter((row) => !/^[\s|:-]+$/.test(row)).map((row) => cells(row, 'td'));
  return h('table', {}, h('thead', {}, cells(head, 'th')), h('tbody', {}, body));
}

const INLINE = /(`[^`]+`)|(\*\*[^*]+\*\*)|(\*[^*]+\*|_[^_]+_)|(\[[^\]]+\]\([^)\s]+\))/g;

/** Code, bold, italics and links inside a line. */
function inline(text) {
  return text.split(INLINE).filter(Boolean).map((part) => {
    if (/^`.+`$/.test(part)) return h('code', {}, part.slice(1, -1));
    if (/^\*\*.+\*\*$/.test(part)) return h('strong', {}, part.slice(2, -2));
    if (/^([*_]).+\1$/.test(part)) return h('em', {}, part.slice(1, -1));
    const link = /^\[(.+)\]\((.+)\)$/.exec(part);
    return link && /^(https?:|\/|#)/.test(link[2]) ? h('a', { href: link[2] }, link[1]) : part;
  });
}

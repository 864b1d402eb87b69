/* The keyboard of an ARIA grid: one tab stop; arrows, Home, End, with Ctrl to the corners, Page keys; Shift extends a block of
   boxes, Space sets the whole block. https://www.w3.org/WAI/ARIA/apg/patterns/grid/ */

const PAGE = 10;

export function watchKeys({ table, heads, everything, lines, isOn, setBoxes }) {
  const headRow = table.tHead.rows[0];
  const columns = heads.length;
  let stop = null;  // the element that Tab reaches
  let anchor = null;  // of the block, as {row, column}
  let block = [];

  /* Rows: 0 the head, 1 all jobs, then the shown lines. Columns: 0 the name, then the boxes. */
  const rowCount = () => lines().length + 2;
  const lineAt = (row) => (row === 1 ? everything : lines()[row - 2]);
  const at = (row, column) => {
    if (row === 0) return column ? heads[column - 1] : headRow.cells[0];
    const line = lineAt(row);
    return column ? line.boxes[column - 1] : line.row.querySelector("a") ?? line.row.cells[0];
  };

  function where(element) {
    const cell = element.closest("th, td"), row = cell.parentElement;
    const column = Math.max([...row.cells].indexOf(cell) - (row.cells.length - columns) + 1, 0);
    if (row === headRow) return { row: 0, column };
    if (row === everything.row) return { row: 1, column };
    return { row: lines().findIndex((line) => line.row === row) + 2, column };
  }

  function moveStop(element) {
    if (stop) stop.tabIndex = -1;
    stop = element;
    stop.tabIndex = 0;
  }

  function extend(to) {
    for (const { cell } of block) { cell.classList.remove("picked"); cell.removeAttribute("aria-selected"); }
    block = [];
    if (!to || !anchor) return;
    const [top, bottom] = [anchor.row, to.row].sort((a, b) => a - b), [left, right] = [anchor.column, to.column].sort((a, b) => a - b);
    for (let row = Math.max(top, 2); row <= bottom; row++) {
      for (let column = Math.max(left, 1); column <= right; column++) {
        const line = lineAt(row);
        block.push({ line, n: column - 1, cell: line.cells[column - 1] });
      }
    }
    for (const { cell } of block) { cell.classList.add("picked"); cell.setAttribute("aria-selected", "true"); }
  }

  function target({ row, column }, key, isCtrl) {
    const last = rowCount() - 1;
    switch (key) {
      case "ArrowUp": return { row: row - 1, column };
      case "ArrowDown": return { row: row + 1, column };
      case "ArrowLeft": return { row, column: column - 1 };
      case "ArrowRight": return { row, column: column + 1 };
      case "Home": return { row: isCtrl ? 0 : row, column: 0 };
      case "End": return { row: isCtrl ? last : row, column: columns };
      case "PageUp": return { row: Math.max(row - PAGE, 0), column };
      case "PageDown": return { row: Math.min(row + PAGE, last), column };
      default: return null;
    }
  }

  table.addEventListener("keydown", (event) => {
    if (event.altKey || event.metaKey) return;
    const here = where(event.target);
    if (event.key === " " && block.length > 1) {
      event.preventDefault();
      return setBoxes(block, !isOn(block[0].line, block[0].n));
    }
    if (event.key === "Escape" && block.length) return extend(null);
    const to = target(here, event.key, event.ctrlKey);
    if (!to) return;
    event.preventDefault();
    if (to.row < 0 || to.row >= rowCount() || to.column < 0 || to.column > columns) return;
    if (event.shiftKey) { anchor ??= here; extend(to); } else { anchor = null; extend(null); }
    at(to.row, to.column).focus();
  });

  table.addEventListener("focusin", (event) => {
    if (event.target.matches(".box, th, a")) moveStop(event.target);
  });
  table.addEventListener("pointerdown", (event) => { if (!event.shiftKey) { anchor = null; extend(null); } });
  headRow.cells[0].tabIndex = -1;
  everything.row.cells[0].tabIndex = -1;
  moveStop(everything.boxes[0]);
}

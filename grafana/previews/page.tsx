// Draws one dashboard as a page: a head that says what this is, then the panels on Grafana's grid.
import 'uplot/dist/uPlot.min.css';

import {
  createTheme,
  dateTime,
  EventBusSrv,
  type GrafanaTheme2,
  rangeUtil,
  ThemeContext,
  type TimeRange,
} from '@grafana/data';
import { GlobalStyles, PanelChrome, PanelContextProvider, Tag } from '@grafana/ui';
import { type FC, type ReactNode, StrictMode } from 'react';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';

import { settled, shown } from './fields';
import { framesOf } from './frames';
import { KINDS, OWN_EMPTINESS } from './kinds';
import type { Drawing, Page, Panel } from './model';

const COLUMNS = 24;
const ROW = 30;
const GAP = 8;
const MARGIN = 16;
const LABEL =
  "Preview: drawn with Grafana's panel components from simulated data; not a screenshot of Grafana";

type Prepared = Omit<Drawing, 'width' | 'height'>;

const Head: FC<{ page: Page; theme: GrafanaTheme2 }> = ({ page, theme }) => (
  <header style={{ display: 'grid', gap: 12, marginBottom: 16 }}>
    <div style={{ display: 'flex', justifyContent: 'space-between', alignItems: 'center', gap: 24 }}>
      <h1 style={{ ...theme.typography.h3, margin: 0 }}>{page.dashboard.title}</h1>
      <Tag name={LABEL} colorIndex={10} />
    </div>
    <div style={{ display: 'flex', justifyContent: 'space-between', flexWrap: 'wrap', gap: 8 }}>
      <div style={{ display: 'flex', gap: 8, flexWrap: 'wrap' }}>
        {page.variables.map(({ label, value }) => (
          <Choice key={label} theme={theme} label={label}>
            {value}
          </Choice>
        ))}
      </div>
      <Choice theme={theme} label="Time">
        {timeText(page)}
      </Choice>
    </div>
  </header>
);

const Choice: FC<{ theme: GrafanaTheme2; label: string; children: ReactNode }> = ({
  theme,
  label,
  children,
}) => {
  const box = {
    border: `1px solid ${theme.colors.border.medium}`,
    padding: '5px 8px',
    fontSize: 12,
  };
  return (
    <span style={{ display: 'flex' }}>
      <span style={{ ...box, borderRight: 0, background: theme.colors.background.secondary }}>
        {label}
      </span>
      <span style={{ ...box, background: theme.components.input.background }}>{children}</span>
    </span>
  );
};

const Framed: FC<{ drawing: Prepared; theme: GrafanaTheme2; columns: number }> = ({
  drawing,
  theme,
  columns,
}) => {
  const { panel, frames } = drawing;
  const { x, y, w, h } = panel.gridPos;
  const place = {
    position: 'absolute' as const,
    left: x * (columns + GAP),
    top: y * (ROW + GAP),
  };
  const width = w * columns + (w - 1) * GAP;
  const height = h * ROW + (h - 1) * GAP;
  if (panel.type === 'row') {
    return (
      <h2 style={{ ...place, ...theme.typography.h6, lineHeight: `${ROW}px`, margin: 0 }}>
        {panel.title}
      </h2>
    );
  }
  const Kind = KINDS[panel.type];
  const empty = frames.every(({ length }) => length === 0) && !OWN_EMPTINESS.has(panel.type);
  return (
    <div style={{ ...place, width, height }} data-panel={panel.id}>
      <PanelChrome
        width={width}
        height={height}
        title={panel.title}
        description={panel.description}
        padding={panel.type === 'table' && !empty ? 'none' : 'md'}
        titleItems={panel.timeFrom && !panel.hideTimeOverride && <Override theme={theme} text={panel.timeFrom} />}
      >
        {(width, height) =>
          !Kind ? (
            <Word theme={theme}>No preview of {panel.type}</Word>
          ) : empty ? (
            <Word theme={theme}>{panel.fieldConfig.defaults.noValue ?? 'No data'}</Word>
          ) : (
            <Kind {...drawing} width={width} height={height} />
          )
        }
      </PanelChrome>
    </div>
  );
};

const Override: FC<{ theme: GrafanaTheme2; text: string }> = ({ theme, text }) => (
  <span style={{ color: theme.colors.text.secondary, fontSize: 12, whiteSpace: 'nowrap' }}>
    {rangeUtil.describeTextRange(text).display}
  </span>
);

const Word: FC<{ theme: GrafanaTheme2; children: ReactNode }> = ({ theme, children }) => (
  <div
    style={{
      height: '100%',
      display: 'flex',
      alignItems: 'center',
      justifyContent: 'center',
      color: theme.colors.text.secondary,
      fontSize: theme.typography.h5.fontSize,
    }}
  >
    {children}
  </div>
);

function timeText({ start, end }: Page): string {
  const text = (seconds: number): string =>
    new Date(seconds * 1000).toISOString().slice(0, 16).replace('T', ' ');
  return `${text(start)} to ${text(end)} UTC`;
}

/** Sizes come of texts measured on a canvas, and once, so that the fonts must be there before. */
async function styled(theme: GrafanaTheme2): Promise<void> {
  const root = createRoot(document.getElementById('styles')!);
  flushSync(() =>
    root.render(
      <ThemeContext.Provider value={theme}>
        <GlobalStyles />
      </ThemeContext.Provider>,
    ),
  );
  await Promise.all([400, 500].map((weight) => document.fonts.load(`${weight} 12px Inter`)));
}

async function draw(page: Page): Promise<void> {
  const theme = createTheme({ colors: { mode: page.theme } });
  await styled(theme);
  const [from, to] = [dateTime(page.start * 1000), dateTime(page.end * 1000)];
  const range: TimeRange = { from, to, raw: { from, to } };
  const panels = await Promise.all(page.dashboard.panels.map((panel) => prepared(page, panel, range, theme)));
  const columns = (window.innerWidth - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS;
  const bottom = Math.max(0, ...panels.map(({ panel: { gridPos } }) => gridPos.y + gridPos.h));
  const context = { eventsScope: 'preview', eventBus: new EventBusSrv() };
  createRoot(document.getElementById('page')!).render(
    <StrictMode>
      <ThemeContext.Provider value={theme}>
        <PanelContextProvider value={context as never}>
          <main style={{ padding: MARGIN, background: theme.colors.background.canvas }}>
            <Head page={page} theme={theme} />
            <div style={{ position: 'relative', height: bottom * (ROW + GAP) }}>
              {panels.map((drawing) => (
                <Framed key={drawing.panel.id} drawing={drawing} theme={theme} columns={columns} />
              ))}
            </div>
          </main>
        </PanelContextProvider>
      </ThemeContext.Provider>
    </StrictMode>,
  );
}

async function prepared(
  page: Page,
  given: Panel,
  range: TimeRange,
  theme: GrafanaTheme2,
): Promise<Prepared> {
  if (given.type === 'row') {
    return { panel: given, frames: [], range };
  }
  const panel = { ...given, fieldConfig: settled(given.fieldConfig) };
  const answers = page.answers.filter((answer) => answer.panel === panel.id);
  return { panel, frames: await shown(panel, framesOf(panel, answers), theme), range };
}

const page: Page = await (await fetch('page.json')).json();
await draw(page);

"use strict";
// The server writes every word of the page. Here the bar moves, and when the job's state changes the page's
// main part is fetched anew. Text goes in as text, never as HTML.
(() => {
  const find = (id) => document.getElementById(id);

  const localTimes = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      time.title = time.textContent;
      time.textContent = "clock" in time.dataset
        ? moment.toLocaleTimeString()
        : moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    }
  };

  const AGAIN_MILLISECONDS = 5000;
  // Only a page can say these: sign in again, the job is gone.
  const OF_THE_PAGE = [401, 403, 404];
  let source;
  let asked = 0;
  const refresh = async () => {
    const mine = ++asked;
    const answer = await fetch(location.href, { cache: "no-store" });
    if (OF_THE_PAGE.includes(answer.status)) {
      source.close();
      location.reload();
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main");
    if (mine !== asked || !answer.ok || !fresh) return;
    const open = document.querySelector("details")?.open ?? false;
    document.querySelector("main").replaceWith(fresh);
    document.title = page.title;
    const details = document.querySelector("details");
    if (details) details.open = open;
    localTimes();
    if (!fresh.dataset.events) source.close();
  };

  localTimes();
  const events = document.querySelector("main").dataset.events;
  if (!events) return;
  const moved = (message) => {
    const { progress, message: words } = JSON.parse(message.data);
    const bar = document.querySelector("progress");
    if (!bar) return;
    bar.value = progress;
    find("percent").textContent = `${progress} %`;
    if (words !== undefined) find("step").textContent = words;
    document.title = document.title.replace(/^(\d+ % · )?/, `${progress} % · `);
  };
  const lost = (gone) => {
    const hint = find("lost");
    if (hint) hint.hidden = !gone;
  };
  const listen = () => {
    source = new EventSource(events);
    source.addEventListener("progress", moved);
    for (const name of ["state", "started", "completed", "failed"]) {
      source.addEventListener(name, () => refresh().catch(() => {}));
    }
    source.onopen = () => lost(false);
    source.onerror = () => {
      lost(true);
      // A browser comes back by itself after a broken connection, but not after another answer: 503 while
      // Redis is away, a proxy's 502, 401 once the session is over.
      if (source.readyState === EventSource.CLOSED) setTimeout(again, AGAIN_MILLISECONDS);
    };
  };
  const again = async () => {
    await refresh().catch(() => {});
    if (document.querySelector("main").dataset.events) listen();
  };
  listen();
  // A worker that comes or goes is no event of the job: until its outcome the page looks now and then.
  setInterval(() => {
    if ("waits" in document.querySelector("main").dataset) refresh().catch(() => {});
  }, 15000);
})();

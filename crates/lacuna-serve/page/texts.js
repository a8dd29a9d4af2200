// Every string of the page, in one table: [English, Ukrainian].
const TEXTS = {
  skip: ["Skip to the photo", "До фото"],
  open: ["Open", "Відкрити"],
  undo: ["Undo", "Скасувати"],
  redo: ["Redo", "Повернути"],
  copy: ["Copy the photo", "Скопіювати фото"],
  download: ["Download", "Завантажити"],
  settings: ["Settings", "Налаштування"],
  keys: ["Keyboard shortcuts", "Клавіші"],
  close: ["Close", "Закрити"],
  cancel: ["Cancel", "Скасувати"],
  ok: ["OK", "Гаразд"],
  choose: ["Choose…", "Обрати…"],
  tools: ["Mask tools", "Засоби маски"],
  stage: ["Photo", "Фото"],
  brush: ["Brush", "Пензель"],
  eraser: ["Eraser", "Гумка"],
  rectangle: ["Rectangle", "Прямокутник"],
  lasso: ["Lasso", "Ласо"],
  invert: ["Invert the mask", "Обернути маску"],
  grow: ["Grow the mask", "Розширити маску"],
  shrink: ["Shrink the mask", "Звузити маску"],
  clear: ["Clear the mask", "Очистити маску"],
  zoomIn: ["Zoom in", "Збільшити"],
  zoomOut: ["Zoom out", "Зменшити"],
  fit: ["Whole photo", "Усе фото"],
  oneToOne: ["1:1, actual size", "1:1, справжній розмір"],
  canvas: ["Photo of {width} × {height} pixels, {share} % masked", "Фото {width} × {height} пікселів, під маскою {share} %"],
  canvasEmpty: ["No photo yet", "Фото ще немає"],
  canvasHelp: [
    "Arrow keys move the cursor, with Shift faster, with Alt they move the photo. Space draws at the cursor; Enter puts the pen down or lifts it, or closes a lasso. Escape gives up.",
    "Стрілки рухають курсор, з Shift швидше, з Alt рухають фото. Пробіл малює під курсором; Enter опускає чи піднімає перо або замикає ласо. Escape відміняє.",
  ],
  startTitle: ["Erase things from photos", "Приберіть зайве з фото"],
  startText: ["Open a photo, or drop or paste one here. Paint over what should go. Fill.", "Відкрийте фото, перетягніть його сюди чи вставте. Зафарбуйте зайве. Заповніть."],
  startPrivacy: ["Photos go to this server and nowhere else.", "Фото йдуть на цей сервер і більше нікуди."],
  camera: ["Take a photo", "Сфотографувати"],
  example: ["Try the example", "Спробувати приклад"],
  compare: ["Before / after", "До / після"],
  hold: ["Hold to see before", "Тримайте, щоб бачити до"],
  progress: ["Progress", "Перебіг"],
  filling: ["Filling… {percent} %", "Заповнення… {percent} %"],
  sending: ["Sending…", "Надсилання…"],
  queued: ["Waiting, {position} before this", "У черзі, попереду {position}"],
  filled: ["Filled in {seconds} s ({how})", "Заповнено за {seconds} с ({how})"],
  cancelled: ["Cancelled", "Скасовано"],
  size: ["Brush size", "Розмір пензля"],
  atOnce: ["Fill when a stroke ends", "Заповнювати після кожного мазка"],
  mask: ["Mask", "Маска"],
  maskImport: ["Import…", "Імпорт…"],
  maskExport: ["Export", "Експорт"],
  expand: ["Margin (px)", "Відступ (пікселів)"],
  feather: ["Soft seam (px)", "М’який край (пікселів)"],
  how: ["How to fill", "Як заповнювати"],
  method: ["Method", "Метод"],
  methodPatchmatch: ["PatchMatch", "PatchMatch"],
  methodNetwork: ["Neural network", "Нейронна мережа"],
  methodGuided: ["Network, refined by patches", "Мережа, уточнена клаптиками"],
  model: ["Model", "Модель"],
  strategy: ["Large photos", "Великі фото"],
  strategyAuto: ["Decide by size", "За розміром"],
  strategyFull: ["Whole at once", "Усе одразу"],
  strategyCrop: ["Windows around holes", "Вікна довкола дірок"],
  strategyResize: ["Fill a smaller copy", "Заповнити меншу копію"],
  longSide: ["Longer side of the copy (px)", "Довша сторона копії (пікселів)"],
  seed: ["Seed", "Зерно"],
  latent: ["Show damage in the latent", "Показати пошкодження латенту"],
  latentNone: ["Needs a server that runs a network and was built with training.", "Потрібен сервер із мережею, зібраний із навчанням."],
  history: ["Steps", "Кроки"],
  step: ["Step {number}", "Крок {number}"],
  stepOriginal: ["The photo as opened", "Фото, як відкрито"],
  fill: ["Fill", "Заповнити"],
  apiDocs: ["API", "API"],
  singleKeys: ["Shortcuts of a single key", "Клавіші без Ctrl"],
  brushSize: ["Brush size", "Розмір пензля"],
  holdKey: ["Hold: see before", "Тримати: бачити до"],
  pan: ["Move the photo", "Рухати фото"],
  panKeys: ["Space + drag, Alt + arrows", "Пробіл + тягнути, Alt + стрілки"],
  tokenTitle: ["This server asks for a token", "Цей сервер просить токен"],
  tokenText: ["Token, as the server's owner gave it:", "Токен від власника сервера:"],
  askPolarity: ["Which part is the hole?", "Де дірка?"],
  askPolarityText: ["Red would be filled.", "Червоне буде заповнено."],
  askBright: ["The bright part", "Світла частина"],
  askDark: ["The dark part", "Темна частина"],
  askScale: ["Scale the mask?", "Масштабувати маску?"],
  askScaleText: ["The mask is {width} × {height} pixels, the photo {photoWidth} × {photoHeight}.", "Маска має {width} × {height} пікселів, фото {photoWidth} × {photoHeight}."],
  askScaleYes: ["Scale it", "Масштабувати"],
  askReplace: ["Replace the photo?", "Замінити фото?"],
  askReplaceText: ["What was filled has not been downloaded.", "Заповнене ще не завантажено."],
  askReplaceYes: ["Replace it", "Замінити"],
  batch: ["Many photos", "Багато фото"],
  batchText: ["One mask for all, or each with its own; you get a ZIP file.", "Одна маска для всіх або кожному своя; результат у ZIP."],
  batchOpen: ["Choose photos…", "Обрати фото…"],
  batchSummary: ["{photos} photos, {masks} masks of their own", "Фото: {photos}, власних масок: {masks}"],
  batchMasks: ["Mask", "Маска"],
  batchOwn: ["Each photo's own (NAME_mask.png beside NAME.jpg)", "Кожному своя (NAME_mask.png поруч із NAME.jpg)"],
  batchCurrent: ["The mask drawn on the open photo", "Маска, намальована на відкритому фото"],
  batchFile: ["A file for all", "Один файл для всіх"],
  batchMask: ["Mask for all", "Маска для всіх"],
  batchStart: ["Fill all", "Заповнити всі"],
  batchWaiting: ["waits", "чекає"],
  batchRunning: ["filling…", "заповнюється…"],
  batchDone: ["done", "готово"],
  batchNoMask: ["no mask", "немає маски"],
  batchFinished: ["{done} of {all} are in the ZIP file", "{done} з {all} у файлі ZIP"],
  batchTooLarge: ["The ZIP file would be larger than 4 GiB: take fewer photos at a time", "Файл ZIP був би більший за 4 ГіБ: беріть менше фото"],
  copied: ["Copied", "Скопійовано"],
  copyFailed: ["The browser does not let the page copy", "Браузер не дає скопіювати"],
  saved: ["Downloaded {name}", "Завантажено {name}"],
  nothingMasked: ["Nothing is masked: paint over what should go", "Маска порожня: зафарбуйте зайве"],
  notAPhoto: ["{name} cannot be read as a picture", "{name} не читається як зображення"],
  tooManyBytes: ["{name} has {bytes} bytes; this server takes {most}", "{name} має {bytes} байтів; сервер бере {most}"],
  tooManyPixels: ["{name} is {width} × {height} pixels; this server takes {most} pixels and {side} a side", "{name} має {width} × {height} пікселів; сервер бере {most} пікселів і {side} на сторону"],
  offline: ["The server does not answer", "Сервер не відповідає"],
  retry: ["Busy; trying again in {seconds} s", "Зайнято; ще раз за {seconds} с"],
  penDown: ["Pen down", "Перо опущено"],
  penUp: ["Pen up", "Перо піднято"],
  corner: ["First corner set", "Перший кут поставлено"],
  // What problem codes mean.
  "image-invalid": ["The picture cannot be read", "Зображення не читається"],
  "image-too-large": ["The picture is too large", "Зображення завелике"],
  "mask-invalid": ["The mask cannot be read", "Маска не читається"],
  "mask-size": ["Mask and picture differ in size", "Маска і зображення різного розміру"],
  "no-known-pixels": ["Everything is masked: nothing is left to fill from", "Замасковано все: нема з чого заповнювати"],
  "format-unfit": ["The format cannot hold the picture", "Формат не вміщує зображення"],
  "memory": ["The job needs more memory than it may take", "Завданню треба більше пам’яті, ніж дозволено"],
  "queue-full": ["Too many jobs are waiting", "У черзі забагато завдань"],
  "client-busy": ["Too many jobs at a time", "Забагато завдань одночасно"],
  "job-timeout": ["It took too long", "Тривало задовго"],
  "body-too-large": ["The request is too large", "Запит завеликий"],
  "unauthorized": ["This is not the token", "Це не той токен"],
  "stopping": ["The server is stopping", "Сервер зупиняється"],
  "internal": ["The server failed", "Сервер зазнав збою"],
};

export const LANGUAGES = ["en", "uk"];

const remembered = localStorage.getItem("language");
let language = LANGUAGES.includes(remembered) ? remembered : navigator.language.startsWith("uk") ? "uk" : "en";

export function currentLanguage() {
  return language;
}

export function setLanguage(next) {
  language = next;
  localStorage.setItem("language", next);
}

export function has(key) {
  return key in TEXTS;
}

/** The text of a key, with {names} replaced. */
export function text(key, values = {}) {
  const found = TEXTS[key];
  if (!found) throw new Error(`no text "${key}"`);
  return found[LANGUAGES.indexOf(language)].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Puts texts, labels and keys into a part of the page. */
export function translate(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const element of root.querySelectorAll("[data-label]")) {
    const label = text(element.dataset.label);
    element.setAttribute("aria-label", label);
    if (element.tagName === "BUTTON") element.title = element.dataset.keys ? `${label} (${element.dataset.keys})` : label;
  }
}

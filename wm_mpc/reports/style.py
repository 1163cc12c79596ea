"""Looks and behaviour of the pages. Nothing is loaded from elsewhere."""

STYLE = """\
:root{color-scheme:light dark;--back:#fff;--raised:#f5f7f8;--text:#1c2226;--dim:#5b666d;
--line:#d9dfe3;--accent:#00796b;--good:#1b7f3b;--bad:#b3261e;--code:#eef1f3}
@media (prefers-color-scheme:dark){:root{--back:#14181b;--raised:#1c2226;--text:#e6eaec;
--dim:#9aa6ad;--line:#333c42;--accent:#4db6ac;--good:#6fce8b;--bad:#ff8a80;--code:#262e33}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:84rem;margin:0 auto;padding:1.5rem clamp(.9rem,3vw,2.5rem) 4rem}
h1{font-size:clamp(1.5rem,4vw,2.1rem);line-height:1.2;margin:.2rem 0 .6rem}
h2{font-size:1.3rem;margin:2.2rem 0 .6rem;padding-top:.6rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.4rem 0 .4rem}
p,ul{max-width:62rem}
ul{padding-left:1.2rem}
li{margin:.25rem 0;overflow-wrap:anywhere}
code{background:var(--code);border-radius:4px;padding:.08em .35em;font-size:.9em;
overflow-wrap:anywhere}
.verdict{display:inline-block;margin:.1rem 0 .6rem;padding:.25rem .7rem;border-radius:999px;
font-weight:600;border:1px solid currentColor}
.verdict.good,td.good{color:var(--good)}
.verdict.bad,td.bad{color:var(--bad)}
td.good,td.bad{font-weight:600}
.table{overflow-x:auto;margin:.6rem 0 1rem;border:1px solid var(--line);border-radius:8px}
.table:focus-visible{outline:2px solid var(--accent)}
table{border-collapse:collapse;width:100%;font-size:.87rem}
th,td{padding:.4rem .6rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
td{min-width:3.5rem}
td.long{min-width:14rem}
tbody tr:last-child td{border-bottom:0}
tbody tr:hover{background:var(--raised)}
thead th{background:var(--raised);padding:0}
th button{all:unset;box-sizing:border-box;display:block;width:100%;padding:.45rem .6rem;
cursor:pointer;font-weight:600;white-space:nowrap}
th button:focus-visible{outline:2px solid var(--accent);outline-offset:-2px}
th[aria-sort=ascending] button::after{content:" \\25B2";color:var(--accent)}
th[aria-sort=descending] button::after{content:" \\25BC";color:var(--accent)}
td.number{font-variant-numeric:tabular-nums;white-space:nowrap}
figure{overflow-x:auto;margin:1rem 0;padding:.8rem;
border:1px solid var(--line);border-radius:8px;background:#fff}
figure img{display:block;max-width:100%;height:auto;margin:0 auto}
figcaption{color:#5b666d;font-size:.9rem;margin-top:.5rem;overflow-wrap:anywhere}
.films{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr))}
.films figure{margin:0}
dl{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.3rem 1rem;
font-size:.9rem;margin:.6rem 0}
dt{color:var(--dim)}
dd{margin:0;overflow-wrap:anywhere}
details{margin:.8rem 0}
summary{cursor:pointer;color:var(--accent)}
pre{overflow-x:auto;background:var(--code);padding:.8rem;border-radius:8px;font-size:.82rem;
max-height:32rem}
footer{margin-top:3rem;color:var(--dim);font-size:.85rem}
.main img{max-width:min(100%,56rem)}
@media (max-width:40rem){.main img{max-width:none;width:46rem}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}}
@media print{th button::after{content:none!important}details{display:none}}
"""

# Sorts a table by a column: by its first numbers where every filled cell has one, else by its text.
SCRIPT = """\
for(const button of document.querySelectorAll("th button"))button.addEventListener("click",()=>{
const th=button.parentElement,row=th.parentElement,body=th.closest("table").tBodies[0];
const column=[...row.children].indexOf(th),up=th.ariaSort!=="ascending";
for(const other of row.children)other.ariaSort="none";
th.ariaSort=up?"ascending":"descending";
const text=tr=>(tr.children[column]?.textContent??"").trim();
const number=t=>{const m=t.match(/^[-+]?[0-9]+(\\.[0-9]+)?(e[-+]?[0-9]+)?/i);return m?+m[0]:NaN};
const empty=t=>t===""||t==="-";
const rows=[...body.rows],filled=rows.map(text).filter(t=>!empty(t));
const byNumber=filled.every(t=>!isNaN(number(t)));
rows.sort((a,b)=>{const s=text(a),t=text(b);
if(empty(s)||empty(t))return empty(s)-empty(t);
const order=byNumber?number(s)-number(t):s.localeCompare(t,undefined,{numeric:true});
return up?order:-order});
body.append(...rows)});
"""

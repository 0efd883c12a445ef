(()=>{"use strict";
const arm=()=>document.querySelectorAll("ol.d").forEach(o=>{const d=[...o.children];let i=d.length-1;
const go=(n,focus)=>{d[i].tabIndex=-1;i=Math.max(0,Math.min(d.length-1,n));d[i].tabIndex=0;if(focus)d[i].focus()};
d.forEach(e=>e.tabIndex=-1);go(i);
o.addEventListener("keydown",e=>{const r=getComputedStyle(o).direction==="rtl"?-1:1,n={ArrowRight:i+r,ArrowLeft:i-r,Home:0,End:d.length-1}[e.key];if(n!==undefined){e.preventDefault();go(n,true)}});
o.addEventListener("click",e=>{const n=d.indexOf(e.target.closest("li"));if(n>=0)go(n,true)})});
arm();
const look=async()=>{if(!document.hidden&&!document.querySelector("main :focus,details[open]"))try{const a=await fetch(location.href,{headers:{Accept:"text/html"}});
if(a.ok){const n=new DOMParser().parseFromString(await a.text(),"text/html");for(const s of["main","footer"]){const o=document.querySelector(s),w=n.querySelector(s);if(o&&w&&o.innerHTML!==w.innerHTML)o.innerHTML=w.innerHTML}document.title=n.title;arm()}}catch{}
setTimeout(look,3e4+Math.random()*1e4)};
setTimeout(look,3e4+Math.random()*1e4)})();

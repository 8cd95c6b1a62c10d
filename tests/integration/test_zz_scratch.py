import tempfile,time,sys
from pathlib import Path
from tests.story import story_at
from tests.integration.test_audit import Clones
def test_x():
    w=story_at("in prod",Path(tempfile.mkdtemp())/"w")
    c=Clones(w,Path(tempfile.mkdtemp())/"c")
    t=time.time(); r=c.audit(); print(time.time()-t)
    for f in r.findings: print(f.code,f.location,f.message)
    print(r.proved); print(r.trusted); print(r)

import tempfile,time,sys
from pathlib import Path
from tests.forging import *
def test_x(tmp_path):
    f=Forger(tmp_path)
    t=time.time(); r=f.audit(); print(time.time()-t)
    for x in r.findings: print(x.code,x.location,x.message)
    print(numbers(f.facts()), numbers(f.facts("acme/price-list")))
    for k,v in r.proved.items(): print(v,k)
    for k,v in r.trusted.items(): print(v,k)
    old=f.head("control","state/acme")
    f.retell(lambda x:x)
    assert f.head("control","state/acme")==old

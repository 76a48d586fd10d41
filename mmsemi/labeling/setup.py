"""stub"""
import os
def part_images(cfg, part):
    ds = cfg['train_dataloader']['dataset']
    if part not in ds: raise ValueError(f'no part {part!r}')
    p = ds[part]
    split = ds.get('split'); subset = p.get('subset', 'labeled' if part=='labeled' else 'unlabeled')
    out = {k: p[k] for k in ('data_root','img_suffix','ann_file') if k in p}
    if 'data_root' not in out and ds.get('data_root'): out['data_root']=ds['data_root']
    if not out.get('ann_file') and split: out['ann_file']=f'{split}/{subset}.txt'
    out['data_prefix']=dict(img_path=p['data_prefix']['img_path'])
    return out
